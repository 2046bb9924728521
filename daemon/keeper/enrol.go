package keeper

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"maps"
	"net"
	"slices"

	"ambit/config"
	"ambit/daemon"
	"ambit/daemon/wire"
	"ambit/identity"
)

// connecting is a way to the daemon, and how to reach it again.
type connecting func(context.Context, config.Home) (net.Conn, func(context.Context) (net.Conn, error), error)

// apply makes the task's key, which stays here, and asks a daemon that is live
// for the task's id. When none answers there is no applicant: a daemon is not
// started before the grants have been read.
func (k *keeper) apply(ctx context.Context) (*daemon.Applicant, error) {
	var err error
	if k.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		return nil, err
	}
	if k.csr, err = x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, k.key); err != nil {
		return nil, err
	}
	a, err := k.applyTo(ctx, daemon.Live)
	if err != nil {
		return nil, nil // the usual way will tell why
	}
	return a, nil
}

func (k *keeper) applyTo(ctx context.Context, connect connecting) (*daemon.Applicant, error) {
	conn, dial, err := connect(ctx, k.o.Home)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	sign := func(nonce []byte) ([]byte, error) {
		if len(nonce) != len(identity.Challenge{}) {
			return nil, errors.New("the daemon's challenge has another length")
		}
		return identity.Answer(k.key, k.task.TrustDomain, identity.Challenge(nonce))
	}
	return daemon.Apply(ctx, conn, dial, sign, func(r wire.Revoke) { k.stop(&Ended{By: r.By, Why: r.Why}) })
}

// enrol gets an identity.
func (k *keeper) enrol(ctx context.Context, secrets map[string]wire.Secret) (err error) {
	f := k.grants.File()
	e := wire.Enrol{
		Build: k.o.Build, Agent: f.Agent.Value, Owner: f.Owner.Value, Purpose: f.Purpose.Value, OnBehalfOf: k.o.Person, TTL: f.Expires,
		Command: k.o.Argv, Workspace: k.grants.Workspace, Grants: k.grants.Source, Digest: f.Digest(), CSR: k.csr, Secrets: secrets,
		Writable: k.writable(), Audiences: slices.Compact(slices.Sorted(maps.Values(k.plan.tokens))),
	}
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	k.link, k.task, err = k.applicant.Enrol(ctx, e)
	for _, s := range secrets {
		clear(s.Value)
	}
	return err
}
