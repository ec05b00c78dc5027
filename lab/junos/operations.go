package junos

import (
	"context"
	"slices"
	"strings"
)

// operations finds the handler of an RPC.
func operations(name string) handler {
	return map[string]handler{
		"get-ipv6-nd-information":           (*session).neighbors,
		"get-ipv6-ra-information":           (*session).routerAdvertisements,
		"get-interface-information":         (*session).interfaces,
		"get-software-information":          (*session).software,
		"get-system-information":            (*session).system,
		"get-system-uptime-information":     (*session).systemUptime,
		"get-bgp-summary-information":       (*session).bgpSummary,
		"get-bgp-neighbor-information":      (*session).bgpNeighbors,
		"get-bfd-session-information":       (*session).bfdSessions,
		"get-route-information":             (*session).routes,
		"open-configuration":                (*session).openConfiguration,
		"close-configuration":               (*session).closeConfiguration,
		"load-configuration":                (*session).loadConfiguration,
		"get-configuration":                 (*session).getConfiguration,
		"commit-configuration":              (*session).commitConfiguration,
		"lock-configuration":                (*session).lockConfiguration,
		"unlock-configuration":              (*session).unlockConfiguration,
		"get-commit-information":            (*session).commitInformation,
		"get-commit-revision-information":   (*session).commitRevision,
		"get-configuration-database-status": (*session).databaseStatus,
		"get-database-usage":                (*session).databaseUsage,
		"get-merged-configuration":          (*session).getMerged,
		"command":                           (*session).command,
		"lock":                              (*session).lockConfiguration,
		"unlock":                            (*session).unlockConfiguration,
		"discard-changes":                   (*session).discardChanges,
		"edit-config":                       (*session).editConfig,
		"get-config":                        (*session).getConfig,
		"get":                               (*session).get,
		"commit":                            (*session).commitNetconf,
		"validate":                          (*session).validate,
		"close-session":                     (*session).closeSession,
		"kill-session":                      (*session).killSession,
	}[name]
}

// operational says whether an RPC shows state and not configuration.
func operational(name string) bool {
	return strings.HasPrefix(name, "get-") && strings.HasSuffix(name, "-information") && !strings.HasPrefix(name, "get-commit")
}

// everywhere is the RPCs that every routing engine answers for itself.
var everywhere = []string{"get-software-information", "get-system-uptime-information"}

// wrapped runs the handler of an operational RPC; with several routing engines
// the reply says which of them answers. Tables are the master's.
func (s *session) wrapped(ctx context.Context, handle handler, operation *element, w *writer) error {
	w.table = s.profile.Table
	engines := s.profile.Engines
	if len(engines) < 2 {
		return handle(s, ctx, operation, w)
	}
	if !slices.Contains(everywhere, operation.name) {
		engines = engines[:1]
	}
	w.open("multi-routing-engine-results")
	for _, engine := range engines {
		w.open("multi-routing-engine-item")
		w.leaf("re-name", engine)
		if err := handle(s, ctx, operation, w); err != nil {
			return err
		}
		w.close()
	}
	w.close()
	return nil
}
