package keeper

import (
	"context"
	"strings"

	"ambit"
	"ambit/gate/web"
	"ambit/grants"
	"ambit/pipeline"
)

// gates has the records say what a gate refused before the grants were asked.
type gates struct{ *grants.Live }

// Decide implements [pipeline.Decider].
func (g gates) Decide(a *ambit.Action) ambit.Decision {
	d := g.Live.Decide(a)
	why, ok := a.Args[web.ArgRefused]
	if ok && a.Service == "" && d.Verdict == ambit.Deny && !strings.HasPrefix(why, web.CodeNoRoute+":") {
		d.By, d.Why = "gate", why
	}
	return d
}

// asker counts what a person approved before the action goes on.
type asker struct {
	pipeline.Asker
	live *grants.Live
}

func (a asker) Ask(ctx context.Context, q pipeline.Question) (pipeline.Answer, error) {
	ans, err := a.Asker.Ask(ctx, q)
	if err == nil && ans.Approved {
		err = a.live.Spend(&q.Action)
	}
	return ans, err
}
