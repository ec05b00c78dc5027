package junos_test

import (
	"strings"
	"testing"

	"github.com/scrapli/scrapligo/driver/opoptions"
	"github.com/scrapli/scrapligo/response"
	"github.com/scrapli/scrapligo/util"
)

func withFilter(request string) util.Option { return opoptions.WithFilter(request) }

// TestStandardClient drives the device by RFC 6241 alone, in both framings.
func TestStandardClient(t *testing.T) {
	for _, version := range []string{"1.0", "1.1"} {
		t.Run(version, func(t *testing.T) {
			cfg := config()
			if version == "1.1" {
				cfg.Version = "24.4R1.9"
				cfg.Static += "set system services netconf rfc-compliant\nset system services netconf version-1.1\n"
			}
			_, address := serve(t, cfg)
			d := dialAs(t, address, "lab", version)
			// scrapligo does not find a session id with a prefix.
			if version == "1.0" && d.SessionID() == 0 {
				t.Error("no session id in the hello")
			}
			ok := func(what string) func(*response.NetconfResponse, error) string {
				return func(r *response.NetconfResponse, err error) string {
					t.Helper()
					if err != nil {
						t.Fatalf("%s: %v", what, err)
					}
					if r.Failed != nil || !strings.Contains(r.Result, "ok/>") && !strings.Contains(r.Result, "data>") {
						t.Fatalf("%s: %s", what, r.Result)
					}
					return r.Result
				}
			}
			ok("lock")(d.Lock("candidate"))
			ok("edit-config")(d.EditConfig("candidate",
				`<config><configuration><system><host-name>renamed</host-name></system></configuration></config>`))
			ok("validate")(d.Validate("candidate"))
			ok("commit")(d.Commit())
			ok("unlock")(d.Unlock("candidate"))
			running := ok("get-config")(d.GetConfig("running"))
			if !strings.Contains(running, "<host-name>renamed</host-name>") {
				t.Errorf("running configuration: %s", running)
			}
			mustHold(t, d, "<get-software-information/>",
				"<junos-version>"+cfg.Version+"</junos-version>", "<host-name>renamed</host-name>")
		})
	}
}
