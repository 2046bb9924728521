package web

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"

	"ambit"
	"ambit/gate"
	"ambit/pipeline"
)

func TestPublicAddress(t *testing.T) {
	for _, s := range []string{"1.1.1.1", "93.184.216.34", "2606:4700::1111", "2a00:1450::1", "64:ff9b::5db8:d822", "2002:5db8:d822::1", "::ffff:1.1.1.1"} {
		if !gate.PublicAddress(netip.MustParseAddr(s)) {
			t.Errorf("%s is public", s)
		}
	}
	for _, s := range []string{
		"0.0.0.0", "0.1.2.3", "10.0.0.1", "100.64.0.1", "100.100.100.200", "127.0.0.1", "127.255.255.254", "168.63.129.16",
		"169.254.169.254", "172.16.0.1", "172.31.255.255", "192.0.0.192", "192.0.2.1", "192.168.1.1", "198.18.0.1", "198.19.255.255",
		"224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255",
		"::", "::1", "::127.0.0.1", "::ffff:127.0.0.1", "::ffff:169.254.169.254", "fe80::1", "fe80::1%eth0", "fec0::1", "fc00::1", "fd00:ec2::254",
		"ff02::1", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::a00:1", "2002:7f00:1::", "2002:a9fe:a9fe::1", "2002:a00:1::1",
		"2001:0:53aa:64c:0:fff:80ff:ff01", "2001:db8::1", "100::1", "2a00::5efe:a00:1", "2a00::200:5efe:7f00:1", "4000::1",
	} {
		if gate.PublicAddress(netip.MustParseAddr(s)) {
			t.Errorf("%s is not public", s)
		}
	}
}

func TestNamesThatLeadInside(t *testing.T) {
	for _, bad := range []string{"127.0.0.1", "169.254.169.254", "10.1.2.3", "fd00:ec2::254", "::1", "64:ff9b::7f00:1"} {
		t.Run(bad, func(t *testing.T) {
			h := newHouse(t, nil, func(h *house, c *Config) { c.Routes[0].Dial = "" })
			h.resolve = func(context.Context, string) ([]netip.Addr, error) {
				// A rebinding server hides the inner address among honest ones.
				return []netip.Addr{netip.MustParseAddr("93.184.216.34"), netip.MustParseAddr(bad)}, nil
			}
			code, body := get(t, h.client(), h.url("/"))
			if code != 502 || strings.Contains(body, bad) {
				t.Errorf("got %d %s", code, body)
			}
			if e := h.log.lastEnd(t); e.Outcome != ambit.Failed {
				t.Errorf("recorded %v", e)
			}
			if !h.alerts.has(AlertAddress) {
				t.Error("nobody was alerted")
			}
		})
	}
}

// What the agent is told must not say whether an upstream exists.
func TestRefusalsRevealNothing(t *testing.T) {
	bodies := map[string]string{}
	for name, resolve := range map[string]func(context.Context, string) ([]netip.Addr, error){
		"exists": func(context.Context, string) ([]netip.Addr, error) {
			return []netip.Addr{netip.MustParseAddr("127.0.0.1")}, nil
		},
		"not exists": func(context.Context, string) ([]netip.Addr, error) {
			return nil, errors.New("NXDOMAIN for api.example.com")
		},
	} {
		var asked atomic.Int32
		h := newHouse(t, nil, func(h *house, c *Config) { c.Routes[0].Dial = "" })
		h.change(func() { h.decide = func(*ambit.Action) ambit.Verdict { return ambit.Deny } })
		h.resolve = func(ctx context.Context, n string) ([]netip.Addr, error) { asked.Add(1); return resolve(ctx, n) }
		_, denied := get(t, h.client(), h.url("/x"))
		if asked.Load() != 0 {
			t.Errorf("%s: a name was resolved before the verdict", name)
		}
		h.change(func() { h.decide = func(*ambit.Action) ambit.Verdict { return ambit.Allow } })
		_, failed := get(t, h.client(), h.url("/x"))
		if asked.Load() != 1 {
			t.Errorf("%s: resolved %d times", name, asked.Load())
		}
		bodies[name] = strings.ReplaceAll(denied+failed, h.authority(), "HOST")
	}
	if bodies["exists"] != bodies["not exists"] {
		t.Errorf("the answers differ:\n%s\n%s", bodies["exists"], bodies["not exists"])
	}
}

func TestUpstreamIsVerified(t *testing.T) {
	for name, spoil := range map[string]option{
		"unknown authority": func(_ *house, c *Config) { c.Routes[0].Roots = nil },
		"other name": func(_ *house, c *Config) {
			c.Routes[0].Host = "b.example.com"
			c.Names = nameTable{"127.0.0.1": "b.example.com"}
		},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t, nil, withCredential, spoil)
			host := h.gate.c.Routes[0].Host
			c, err := h.dialTLS(h.listener.Addr().String(), host)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			code := rawGet(t, c, place{host, h.port()}.authority(HTTPS))
			if code != "502" || len(h.up.requests()) != 0 {
				t.Errorf("got %s, the upstream saw %v", code, h.up.requests())
			}
			if e := h.log.lastEnd(t); e.Outcome != ambit.Failed {
				t.Errorf("recorded %v", e)
			}
		})
	}
}

func TestNothingWithoutARecord(t *testing.T) {
	h := newHouse(t, nil, withCredential)
	h.change(func() { h.log.fail = errors.New("the disk is full") })
	code, body := get(t, h.client(), h.url("/x"))
	if code != 403 || !strings.Contains(body, pipeline.CodeNoRecord) || len(h.up.requests()) != 0 {
		t.Errorf("got %d %s, the upstream saw %v", code, body, h.up.requests())
	}
}

func TestAfterRevocationNothingPasses(t *testing.T) {
	h := newHouse(t, nil)
	c := h.client()
	if code, _ := get(t, c, h.url("/x")); code != 200 {
		t.Fatal(code)
	}
	h.change(func() { h.live = errors.New("the task was revoked") })
	if code, _ := get(t, c, h.url("/x")); code != 403 || len(h.up.requests()) != 1 {
		t.Errorf("got %d, the upstream saw %d", code, len(h.up.requests()))
	}
}
