package keeper

import (
	"slices"

	"ambit/daemon/wire"
	"ambit/grants"
)

// app is what the daemon must know to make tokens of a service's GitHub App; nil
// when it has none.
func (p *plan) app(s grants.Service) *wire.App {
	scope, ok := p.g.App(s.Name.Value)
	if !ok {
		return nil
	}
	return &wire.App{
		ID: int64(s.Credential.App), Installation: int64(s.Credential.Installation),
		Owner: scope.Owner, Repositories: scope.Repositories, All: scope.All, Permissions: scope.Permissions,
		API: apiOf(s), Dial: s.Address.Value,
	}
}

// apiOf is where GitHub's API is: on a host of its own, or, on a server of one's own,
// below the path that GitHub Enterprise Server has it at.
func apiOf(s grants.Service) string {
	const public = "api.github.com"
	if slices.ContainsFunc(s.Hosts, func(h grants.Text) bool { return h.Value == public }) {
		return "https://" + s.Authority(public)
	}
	return "https://" + s.Authority(s.Hosts[0].Value) + "/api/v3"
}
