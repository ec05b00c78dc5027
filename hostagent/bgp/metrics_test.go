package bgp

import (
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

// A peer cannot make more time series than there are codes, whatever it sends.
func TestNotificationsAreFewSeries(t *testing.T) {
	reg := prometheus.NewRegistry()
	c := NewMetrics(reg).of("eth0")
	if n, err := testutil.GatherAndCount(reg, "hostagent_bgp_notifications_total"); err != nil || n != 2*4 {
		t.Errorf("%d series before the first, %v", n, err)
	}
	for code := range 256 {
		for subcode := range 256 {
			c.end("received", &notification{code: uint8(code), subcode: uint8(subcode)})
		}
	}
	c.end("sent", &notification{code: errCease, subcode: uint8(BFDDown)})
	if n, err := testutil.GatherAndCount(reg, "hostagent_bgp_notifications_total"); err != nil || n != 7*13+1+4 {
		t.Errorf("%d series, %v", n, err)
	}
	want := `# HELP hostagent_bgp_updates_malformed_total UPDATEs with an error that the session survived (RFC 7606).
# TYPE hostagent_bgp_updates_malformed_total counter
hostagent_bgp_updates_malformed_total{action="attribute_discarded",link="eth0"} 0
hostagent_bgp_updates_malformed_total{action="withdrawn",link="eth0"} 1
`
	c.malformed[treatAsWithdrawal].Inc()
	if err := testutil.GatherAndCompare(reg, strings.NewReader(want), "hostagent_bgp_updates_malformed_total"); err != nil {
		t.Error(err)
	}
}
