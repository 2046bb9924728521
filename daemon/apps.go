package daemon

import (
	"ambit/broker"
	"ambit/broker/github"
	"ambit/daemon/wire"
	"ambit/identity"
)

// app is the provider of a GitHub App's tokens.
func (d *Daemon) app(t identity.Task, service string, w wire.Secret, writable []string) (broker.Provider, error) {
	var key broker.Source
	var err error
	if w.File != "" {
		key, err = d.source(t, service, w, writable)
	} else {
		key, err = github.Key(service, w.Value)
	}
	if err != nil {
		return nil, err
	}
	a := w.App
	return github.New(github.Config{
		App: a.ID, Key: key, Installation: a.Installation, Owner: a.Owner, Repositories: a.Repositories, All: a.All, Permissions: a.Permissions,
		API: a.API, Dial: a.Dial, Roots: w.CA, Now: d.ids.Now,
	})
}
