package switchagent

import (
	"log/slog"
	"strings"
	"testing"
)

// TestShowWithABadInventory: what is there is shown all the same, with a warning, and nobody is called
// unknown for a spelling mistake in a table.
func TestShowWithABadInventory(t *testing.T) {
	s := newSite(t, "21.4R1", nil)
	s.plug(1)
	s.must(s.operate().Apply(t.Context()))
	s.await("1")
	s.plug(2)
	s.inventory("nonsense\n")
	var log syncBuffer
	rows, err := Operate(s.cfg, slog.New(slog.NewTextHandler(&log, nil))).Show(t.Context())
	s.must(err)
	if len(rows) != 2 || !rows[0].Stanza || rows[0].Refused != "" || rows[1].Address != "fe80::2" || rows[1].Refused != inventoryBad {
		t.Errorf("rows: %+v", rows)
	}
	if !strings.Contains(log.String(), "inventory is bad") || !strings.Contains(log.String(), "inventory.csv:2:") {
		t.Errorf("log: %s", log.String())
	}
}
