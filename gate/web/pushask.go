package web

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"ambit"
	"ambit/catalog/git"
	"ambit/pipeline"
)

// Bounds of asking a server about a push.
const (
	maxAsked = 8                // refs of one push
	askTime  = 30 * time.Second // for all of them
)

// askServer asks the server whether the pushed commits descend from those they would
// replace, where the pack alone does not show it. It is a read of the repository,
// permitted, recorded and with its credential like any other; where it is not allowed
// without a question, or fails, nothing is shown and the push counts as a force.
func (x *exchange) askServer(ctx context.Context) {
	a, ok := x.fetchAction()
	if !ok || x.g.c.Foresee == nil || x.g.c.Foresee(&a) != ambit.Allow {
		return
	}
	var open []git.Command
	for _, c := range x.push.Commands {
		if _, edge := x.push.commits.Descends(c, x.push.Shallow); len(edge) > 0 && !c.Creates() && !c.Deletes() && !strings.HasPrefix(c.Ref, "refs/tags/") {
			open = append(open, c)
		}
	}
	if len(open) == 0 || len(open) > maxAsked {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	// An error is recorded by the pipeline, and shows nothing.
	_ = x.g.c.Do.Do(ctx, a, nil, func(ctx context.Context, p pipeline.Permit) (ambit.Outcome, string, error) {
		n, err := x.ask(ctx, p, open)
		if err != nil {
			return ambit.Failed, "the server did not show whether a push keeps what was there: " + printable(err.Error(), 256), err
		}
		return ambit.Performed, fmt.Sprintf("asked whether a push keeps what was there: of %d refs for %d", len(open), n), nil
	})
}

// fetchAction is the read by which the server is asked.
func (x *exchange) fetchAction() (ambit.Action, bool) {
	segs := x.in.url.segs
	req := x.in.request(x.r)
	req.Method, req.Segments, req.Query, req.Header = "GET", append(slices.Clone(segs[:len(segs)-1]), "info", "refs"), "service=git-upload-pack", http.Header{}
	req.BodyWhole = true
	calls, err := x.g.c.Classifier.Classify(req)
	if err != nil || len(calls) != 1 || calls[0].Operation != "git.fetch" || calls[0].Effect != ambit.Read {
		return ambit.Action{}, false
	}
	a := x.g.action(calls[0].Operation, calls[0].Effect, calls[0].Resource)
	a.Service = x.r.Service
	a.Args = map[string]string{"method": "GET", "url": x.r.Scheme + "://" + x.in.conn.at.authority(x.r.Scheme) + x.repositoryPath() + "/info/refs?service=git-upload-pack"}
	return a, a.Check() == nil
}

// repositoryPath is the path of the repository as it is sent.
func (x *exchange) repositoryPath() string {
	return strings.TrimSuffix(x.in.url.raw, "/git-receive-pack")
}

// ask asks about each command and returns how many were shown.
func (x *exchange) ask(ctx context.Context, p pipeline.Permit, open []git.Command) (shown int, err error) {
	if err := p.Check(); err != nil {
		return 0, err
	}
	b, err := x.fetch(ctx, p, "/info/refs", "service=git-upload-pack", nil, git.AdvertisementType, func(r io.Reader) ([]byte, error) {
		return io.ReadAll(io.LimitReader(r, git.MaxAdvertisement))
	})
	if err != nil {
		return 0, err
	}
	server, err := git.ReadServer(b)
	if err != nil || server.Format != x.push.Format {
		return 0, fmt.Errorf("it does not speak version 2 of git's protocol")
	}
	x.push.proven = map[[2]string]bool{}
	for _, c := range open {
		_, edge := x.push.commits.Descends(c, x.push.Shallow)
		pack, err := x.fetch(ctx, p, "/git-upload-pack", "", server.Ask(edge, c.Old), git.AnswerType, git.ReadAnswer)
		if err != nil {
			return shown, err
		}
		commits := git.ReadCommits(server.Format, pack)
		for _, e := range edge {
			if ok, _ := commits.Descends(git.Command{Old: c.Old, New: e, Ref: c.Ref}, x.push.Shallow); ok {
				x.push.proven[[2]string{c.Old, c.New}] = true
				shown++
				break
			}
		}
	}
	return shown, nil
}

// fetch sends one request about the push's repository, with the permitted credential,
// and reads what answers it. Nothing of it reaches the agent.
func (x *exchange) fetch(ctx context.Context, p pipeline.Permit, path, query string, body []byte, want string, read func(io.Reader) ([]byte, error)) ([]byte, error) {
	host := x.in.conn.at.authority(x.r.Scheme)
	u := &url.URL{Scheme: x.r.Scheme, Host: host, Path: strings.TrimSuffix(x.in.url.path, "/git-receive-pack") + path, RawPath: x.repositoryPath() + path, RawQuery: query}
	h := http.Header{"User-Agent": {"git/ambit"}, "Git-Protocol": {"version=2"}, "Accept-Encoding": {"identity"}}
	req := (&http.Request{Method: http.MethodGet, URL: u, Host: host, Header: h, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1}).WithContext(ctx)
	if body != nil {
		req.Method, req.Body, req.ContentLength = http.MethodPost, io.NopCloser(bytes.NewReader(body)), int64(len(body))
		h.Set("Content-Type", git.AskType)
	}
	if x.r.HasCredential {
		if err := x.r.Inject.apply(h, u, p.Secret().Reveal()); err != nil {
			return nil, err
		}
	}
	resp, err := x.g.upstreamTransport(x.r).RoundTrip(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK || resp.Header.Get("Content-Type") != want || compressed(resp) {
		return nil, fmt.Errorf("it answered %d", resp.StatusCode)
	}
	return read(resp.Body)
}
