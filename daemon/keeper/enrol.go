package keeper

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"time"

	"ambit"
	"ambit/config"
	"ambit/daemon"
	"ambit/daemon/wire"
	"ambit/identity"
)

// connecting is a way to the daemon.
type connecting func(context.Context, config.Home) (net.Conn, error)

// makeKey makes the task's key, which stays here, and the request that names it.
func (k *keeper) makeKey() (err error) {
	if k.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err == nil {
		k.csr, err = x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, k.key)
	}
	return err
}

// apply asks a daemon that is live for the task's id. When none answers there is
// no applicant: a daemon is not started before the grants have been read.
func (k *keeper) apply(ctx context.Context) *daemon.Applicant {
	a, err := k.applyTo(ctx, daemon.Live)
	if err != nil {
		return nil // the usual way will tell why
	}
	return a
}

func (k *keeper) applyTo(ctx context.Context, connect connecting) (*daemon.Applicant, error) {
	conn, err := connect(ctx, k.o.Home)
	if err != nil {
		return nil, err
	}
	sign := func(nonce []byte) ([]byte, error) {
		if len(nonce) != len(identity.Challenge{}) {
			return nil, errors.New("the daemon's challenge has another length")
		}
		return identity.Answer(k.key, k.task.TrustDomain, identity.Challenge(nonce))
	}
	return daemon.Apply(conn, sign, func(r wire.Revoke) { k.stop(&Ended{By: r.By, Why: r.Why}) })
}

// applied waits for the task's id, from a daemon that is started when none was
// live. One that is about to end may take the connection and never answer: nothing
// was begun then, and the next one is asked.
func (k *keeper) applied(ctx context.Context) (id ambit.TaskID, err error) {
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	for {
		if k.applicant == nil {
			if k.applicant, err = k.applyTo(ctx, daemon.Gatekeeper); err != nil {
				return "", err
			}
		}
		id, err = k.applicant.Task(ctx)
		if err == nil || !errors.Is(err, wire.ErrClosed) || ctx.Err() != nil {
			return id, err
		}
		k.applicant.Close()
		k.applicant = nil
		time.Sleep(applyAgain)
	}
}

const applyAgain = 10 * time.Millisecond

// enrol asks for an identity; enrolled waits for it.
func (k *keeper) enrol(secrets map[string]wire.Secret) error {
	f := k.grants.File()
	e := wire.Enrol{
		Build: k.o.Build, Agent: f.Agent.Value, Owner: f.Owner.Value, Purpose: f.Purpose.Value, OnBehalfOf: k.o.Person, TTL: f.Expires,
		Command: k.o.Argv, Workspace: k.grants.Workspace, Grants: k.grants.Source, File: f.Name, Home: k.grants.Person, Digest: f.Digest(), CSR: k.csr, Secrets: secrets,
		Writable: k.writable(), Audiences: slices.Compact(slices.Sorted(maps.Values(k.plan.tokens))),
	}
	defer func() {
		for _, s := range secrets {
			clear(s.Value)
		}
	}()
	return lost(k.applicant.Send(e))
}

// lost says of a daemon that went away what became of the task.
func lost(err error) error {
	if errors.Is(err, wire.ErrClosed) {
		return fmt.Errorf("%w: the daemon ended, and the command was not started; run it again", err)
	}
	return err
}

func (k *keeper) enrolled(ctx context.Context) (err error) {
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	k.link, k.task, err = k.applicant.Enrolled(ctx)
	return lost(err)
}
