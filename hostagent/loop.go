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

// loop is the one goroutine that owns the agent's state. It ends with ctx. What
// it does may take as long as the table is large; faults are heeded meanwhile,
// see meanwhile.
func (a *Agent) loop(ctx context.Context, from sources) {
	a.from = from
	defer func() { a.from = sources{} }()
	retry := time.NewTicker(retryAfter)
	defer retry.Stop()
	for ctx.Err() == nil {
		switch {
		case a.heed(ctx):
		case a.auditing:
			a.auditPart()
		default:
			a.await(ctx, retry.C)
		}
		a.learn(ctx)
		a.settle()
		a.report()
	}
}

// heed does what there is to do about faults, which go before all else, and says
// if there was any.
func (a *Agent) heed(ctx context.Context) bool {
	select {
	case state, ok := <-a.from.links:
		a.hearLinks(ctx, state, ok)
	case n, ok := <-a.from.bfd:
		a.hearBFD(ctx, n, ok)
	default:
		return a.behind()
	}
	return true
}

// await waits for news of any kind.
func (a *Agent) await(ctx context.Context, retry <-chan time.Time) {
	select {
	case <-ctx.Done():
	case state, ok := <-a.from.links:
		a.hearLinks(ctx, state, ok)
	case n, ok := <-a.from.bfd:
		a.hearBFD(ctx, n, ok)
	case h := <-a.heard:
		a.onHeard(ctx, h)
	case n, ok := <-a.from.bgp:
		if !ok {
			a.from.bgp = nil
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

func (a *Agent) hearLinks(ctx context.Context, state kernel.State, ok bool) {
	if !ok {
		a.from.links = nil
		return
	}
	a.unheard = nil // state is newer
	a.onKernel(ctx, state)
}

func (a *Agent) hearBFD(ctx context.Context, n worker.News, ok bool) {
	if !ok {
		a.from.bfd = nil
		return
	}
	a.onBFD(ctx, n)
}
