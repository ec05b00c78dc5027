package hostagent

import (
	"context"
	"time"

	"lastmile/hostagent/bfd/worker"
	"lastmile/hostagent/bgp"
	"lastmile/hostagent/kernel"
)

// sources are where news come from. One that is closed is nil from then on: who
// closes it is about to end the loop's context, and to say why.
type sources struct {
	links <-chan kernel.State
	bfd   <-chan worker.News
	bgp   <-chan bgp.News
}

// loop is the one goroutine that owns the agent's state. It ends with ctx.
func (a *Agent) loop(ctx context.Context, from sources) {
	retry := time.NewTicker(retryAfter)
	defer retry.Stop()
	for ctx.Err() == nil {
		switch {
		case a.heed(ctx, &from):
		case a.auditing:
			a.auditPart()
		default:
			a.await(ctx, &from, retry.C)
		}
		a.admit()
		a.settle()
		a.report()
	}
}

// heed does what there is to do about faults, which go before all else, and says
// if there was any.
func (a *Agent) heed(ctx context.Context, from *sources) bool {
	select {
	case state, ok := <-from.links:
		a.hearLinks(ctx, from, state, ok)
	case n, ok := <-from.bfd:
		a.hearBFD(ctx, from, n, ok)
	default:
		return false
	}
	return true
}

// await waits for news of any kind.
func (a *Agent) await(ctx context.Context, from *sources, retry <-chan time.Time) {
	select {
	case <-ctx.Done():
	case state, ok := <-from.links:
		a.hearLinks(ctx, from, state, ok)
	case n, ok := <-from.bfd:
		a.hearBFD(ctx, from, n, ok)
	case h := <-a.heard:
		a.onHeard(ctx, h)
	case n, ok := <-from.bgp:
		if !ok {
			from.bgp = nil
			return
		}
		a.onBGP(ctx, n)
	case query := <-a.queries:
		query(ctx)
	case <-retry:
		a.repair(ctx)
		a.attachRetry()
	}
}

func (a *Agent) hearLinks(ctx context.Context, from *sources, state kernel.State, ok bool) {
	if !ok {
		from.links = nil
		return
	}
	a.onKernel(ctx, state)
}

func (a *Agent) hearBFD(ctx context.Context, from *sources, n worker.News, ok bool) {
	if !ok {
		from.bfd = nil
		return
	}
	a.onBFD(ctx, n)
}
