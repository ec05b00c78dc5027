package switchagent

import (
	"slices"
	"strings"
	"testing"
)

// TestDoctorOfRejectedPrefixes: whether the leaf names them, on releases that list a peer with its interface and without.
func TestDoctorOfRejectedPrefixes(t *testing.T) {
	for _, profile := range []string{"18.4R1", "24.4R1"} {
		t.Run(profile, func(t *testing.T) {
			s := healthy(t, profile)
			want := func(status, detail, mend string) {
				t.Helper()
				found := s.cfg.Doctor(t.Context())
				i := slices.IndexFunc(found, func(f Finding) bool { return f.Check == "rejected prefixes" })
				if i < 0 {
					t.Fatalf("%+v", found)
				}
				if f := found[i]; f.Status != status || !strings.Contains(f.Detail, detail) || !strings.Contains(strings.Join(f.Mend, "\n"), mend) {
					t.Errorf("%+v, want %s with %q and %q", f, status, detail, mend)
				}
			}
			commit := func(lines string) { s.must(s.operator().CommitPrivate(t.Context(), lines)) }
			want(StatusOK, "not tried", "")
			commit("set protocols bgp group servers neighbor fe80::1 local-interface ge-0/0/1.0")
			s.plug(1)
			s.eventually("a session", func() bool { return s.world.Established("ge-0/0/1.0", "fe80::1") })
			want(StatusOK, "tells which", "")
			commit("set system login class lastmile-agent deny-commands-regexps \"show route.*\"")
			want(StatusWarning, "permission denied", "set system login class lastmile-agent permissions view")
			commit("set system login class lastmile-agent deny-commands-regexps \"show bgp.*\"")
			want(StatusSkipped, "", "")
		})
	}
}
