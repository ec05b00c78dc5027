package hostagent

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"time"

	"lastmile/hostagent/kernel"
	"lastmile/hostagent/rib"
)

const (
	// retryAfter is how long after a failure of the kernel or of BGP the orders
	// that failed are given again.
	retryAfter = time.Second

	// auditEvery is how long what others do to our routes and kernel parameters
	// may go unseen. A large table is looked at less often: an audit delays all but
	// the answer to the loss of a leaf.
	auditEvery = 10 * time.Second
	auditShare = 200 // one part of the time is for audits
	hurryShare = 10  // one part, while others remove routes again and again
)

// apply takes changed next-hop sets to the kernel. They are never all in memory:
// a leaf that is lost can change a whole table.
func (a *Agent) apply(changes rib.Changes) {
	if changes.Len() > 0 {
		a.order(changes.All(), a.fib.Apply)
	}
}

// order gives routes to the kernel by do; those of a batch that fails are tried
// again.
func (a *Agent) order(routes iter.Seq[kernel.Route], do func(iter.Seq[kernel.Route]) error) {
	err := do(routes)
	if err != nil || len(a.pending)+len(a.refused) > 0 {
		a.remember(routes, err)
	}
	if err != nil {
		a.metrics.fibErrors.Inc()
		a.noteRefused(err)
	}
	if err != nil || len(a.pending) == 0 {
		a.complain("installing routes", err)
	}
}

// remember notes what is to be tried again of routes of which some failed, or
// of none if err is nil.
func (a *Agent) remember(routes iter.Seq[kernel.Route], err error) {
	for r := range routes {
		a.step(1)
		delete(a.refused, r.Prefix)
		if err != nil {
			a.pending[r.Prefix] = r
		} else {
			delete(a.pending, r.Prefix)
		}
	}
}

// noteRefused notes for `show routes PREFIX` why the kernel refused which route.
func (a *Agent) noteRefused(err error) {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		for _, err := range joined.Unwrap() {
			a.step(1)
			a.noteRefused(err)
		}
		return
	}
	if route, ok := errors.AsType[*kernel.RouteError](err); ok {
		a.refused[route.Prefix] = route.Err
	}
}

// repair gives the orders again that have failed, and now and then looks for
// what others have undone.
func (a *Agent) repair(ctx context.Context) {
	a.adoptLoopback(ctx)
	if len(a.pending) > 0 {
		again := make([]kernel.Route, 0, len(a.pending))
		for _, r := range a.pending {
			a.step(1)
			again = append(again, r)
		}
		a.order(slices.Values(again), a.fib.Apply)
	}
	for _, u := range a.uplinks {
		a.expire(u)
		if u.bfd.again {
			a.watch(u)
		}
		a.tryOther(ctx, u)
	}
	if a.restart.over && !time.Now().Before(a.nextAudit) {
		a.audit()
		a.prepare()
	}
}

// auditSoon looks for what is missing at once, or as soon as the last look is
// long enough ago.
func (a *Agent) auditSoon() {
	switch {
	case a.auditing:
		a.auditAgain = true
	case time.Now().Before(a.soonAudit):
		a.nextAudit = a.soonAudit
	case a.restart.over:
		a.audit()
	}
}

// audit begins to look for what is missing in the kernel. What one that is under
// way has seen already may be out of date: then there will be another.
func (a *Agent) audit() {
	a.auditAgain, a.auditing = a.auditing, true
}

// auditPart goes on with an audit, and in the end installs again what is missing
// in the kernel. The loop heeds faults between the parts, and nothing else; in the
// midst of the last one they are taken out of the kernel's groups.
func (a *Agent) auditPart() {
	began := time.Now()
	done, changed, err := a.auditor.AuditPart()
	a.auditTook += time.Since(began)
	if !done {
		return
	}
	took := a.auditTook
	a.auditing, a.auditTook = false, 0
	a.nextAudit = time.Now().Add(max(auditEvery, auditShare*took))
	a.soonAudit = time.Now().Add(max(retryAfter, hurryShare*took))
	if a.auditAgain {
		a.auditAgain, a.nextAudit = false, a.soonAudit
	}
	a.complain("auditing routes", err)
	if changed {
		a.log.Warn("routes or next hops are missing in the kernel, installing them again")
		a.metrics.repairs.Inc()
		a.apply(a.rib.Routes())
	}
}

// complain logs an error once, and not again before it is another one or has
// been none.
func (a *Agent) complain(doing string, err error) {
	text := brief(err)
	switch last := a.faults[doing]; {
	case text == last:
	case text == "":
		a.log.Info("recovered", "from", doing)
	default:
		a.log.Error(doing, "err", text)
	}
	a.faults[doing] = text
}

// brief is the text of an error, of which only the first parts are told where
// it has very many: one for each of a table's routes, say.
func brief(err error) string {
	const parts = 3
	if err == nil {
		return ""
	}
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok || len(joined.Unwrap()) <= parts {
		return err.Error()
	}
	all := joined.Unwrap()
	return fmt.Sprintf("%v; %v; %v; and %d more", all[0], all[1], all[2], len(all)-parts)
}
