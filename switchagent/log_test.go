package switchagent

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"lastmile/switchagent/junos"
)

func TestDuplicateIsLoggedOnceAndCounted(t *testing.T) {
	f := newFakeLeaf()
	f.plug(peer(1, 1), peer(1, 2))
	run(t, f, func(t *testing.T, a running) {
		a.after(time.Hour)
		a.want(t, 1, peer(1, 1))
		if n := testutil.ToFloat64(a.metrics.refused.WithLabelValues(string(duplicate))); n != 1 {
			t.Errorf("counted %v", n)
		}
		if n := strings.Count(a.log.String(), "reason=duplicate"); n != 1 || !strings.Contains(a.log.String(), "link=ge-0/0/2.0 peer=fe80::1") {
			t.Errorf("logged %d times:\n%s", n, a.log)
		}
	})
}

func TestOrdinaryHostsAreNoNews(t *testing.T) {
	f := newFakeLeaf()
	f.plug(peer(1, 1), peer(2, 2))
	f.neighbors[peer(1, 1)] = with(router(peer(1, 1)), func(n *junos.Neighbor) { n.Router = false })
	f.neighbors[peer(2, 2)] = with(router(peer(2, 2)), func(n *junos.Neighbor) { n.MAC = "" })
	run(t, f, func(t *testing.T, a running) {
		a.after(time.Minute)
		a.want(t, 0)
		if strings.Contains(a.log.String(), "refused") {
			t.Errorf("logged:\n%s", a.log)
		}
	})
}

func TestWarningsAreLoggedWhenTheyAreNew(t *testing.T) {
	var log bytes.Buffer
	a := New(testConfig(), slog.New(slog.NewTextHandler(&log, nil)), prometheus.NewRegistry())
	for range 3 {
		a.traceRPC(junos.Trace{RPC: "commit-configuration", Took: 2 * time.Second, Warnings: []string{"license missing", "old syntax"}})
	}
	a.traceRPC(junos.Trace{RPC: "commit-configuration", Warnings: []string{"old syntax"}})
	for text, want := range map[string]int{"license missing": 1, "old syntax": 2} {
		if n := strings.Count(log.String(), text); n != want {
			t.Errorf("%s: logged %d times, want %d:\n%s", text, n, want, log.String())
		}
	}
	if n := testutil.CollectAndCount(a.metrics.rpcs); n != 1 {
		t.Errorf("%d histograms", n)
	}
}

func TestDeadLeafIsLoggedOnce(t *testing.T) {
	f := newFakeLeaf()
	f.noDial = errors.New("no route to host")
	run(t, f, func(t *testing.T, a running) {
		a.after(10 * time.Minute)
		f.noDial = errors.New("connection refused")
		a.after(10 * time.Minute)
		if n := strings.Count(a.log.String(), "no session with the leaf"); n != 2 {
			t.Errorf("two states, logged %d times:\n%s", n, a.log)
		}
		f.noDial, f.closed = nil, f.dials
		a.after(time.Minute)
		f.noDial, f.lost = errors.New("connection refused"), true // lost, and then refused again
		a.after(10 * time.Minute)
		if n := strings.Count(a.log.String(), "no session with the leaf"); n != 4 {
			t.Errorf("four states, logged %d times:\n%s", n, a.log)
		}
	})
}
