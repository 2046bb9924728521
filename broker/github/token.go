package github

import (
	"bytes"
	"context"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"ambit"
)

// rank orders the levels of a permission; 0 is none.
func rank(level string) int { return 1 + slices.Index([]string{"read", "write", "admin"}, level) }

// installation is what GitHub says of one.
type installation struct {
	ID      int64 `json:"id"`
	AppID   int64 `json:"app_id"`
	Account struct {
		Login string `json:"login"`
	} `json:"account"`
	Permissions map[string]string `json:"permissions"`
	Suspended   *string           `json:"suspended_at"`
}

// installation finds the App's installation for the owner and checks that it is
// this App's and the owner's.
func (p *Provider) installation(ctx context.Context, k *rsa.PrivateKey) (in installation, err error) {
	paths := []string{fmt.Sprintf("/app/installations/%d", p.c.Installation)}
	if p.c.Installation == 0 {
		paths = []string{"/orgs/" + p.c.Owner + "/installation", "/users/" + p.c.Owner + "/installation"}
	}
	var a answer
	for _, path := range paths {
		if a, err = p.asApp(ctx, k, http.MethodGet, path, nil); err != nil {
			return in, err
		}
		if a.status != http.StatusNotFound {
			break
		}
	}
	switch {
	case a.status == http.StatusUnauthorized:
		return in, a.said("GitHub does not take the App's signature: see that app: is its ID, the key one of its keys, and this machine's clock right")
	case a.status == http.StatusNotFound:
		return in, a.said("the App has no such installation: install it for " + p.c.Owner)
	case a.status != http.StatusOK:
		return in, a.said("its installation cannot be looked up")
	case json.Unmarshal(a.body, &in) != nil || in.ID <= 0:
		return in, errors.New("GitHub's answer is not an installation")
	case p.c.Installation != 0 && in.ID != p.c.Installation || in.AppID != p.c.App:
		return in, errors.New("GitHub answers with another installation, or with one of another App")
	case !strings.EqualFold(in.Account.Login, p.c.Owner):
		return in, fmt.Errorf("installation %d is for %q, and the grants name repositories of %s", in.ID, plain(in.Account.Login, 64), p.c.Owner)
	case in.Suspended != nil:
		return in, fmt.Errorf("installation %d is suspended: its owner can lift that in GitHub's settings", in.ID)
	}
	return in, nil
}

// grant is what is asked for: what the grants need, as far as the installation has
// it. GitHub refuses a request for more.
func (in installation) grant(need map[string]string) (map[string]string, error) {
	out := map[string]string{}
	for name, level := range need {
		has := in.Permissions[name]
		if rank(has) == 0 {
			continue
		}
		if rank(has) < rank(level) {
			level = has
		}
		out[name] = level
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("its installation has none of the permissions that the grants need (%s): give them to the App at GitHub", strings.Join(slices.Sorted(maps.Keys(need)), ", "))
	}
	return out, nil
}

// token is an installation access token.
type token struct {
	secret  ambit.SecretValue
	expires time.Time // by GitHub's clock
}

// ask has a token made and refuses, and revokes, one that is for more than was asked
// for. m knows of it from then on.
func (p *Provider) ask(ctx context.Context, k *rsa.PrivateKey, id int64, want map[string]string, m *minted) (t token, err error) {
	body := map[string]any{"permissions": want}
	if !p.c.All {
		body["repositories"] = p.c.Repositories
	}
	a, err := p.asApp(ctx, k, http.MethodPost, fmt.Sprintf("/app/installations/%d/access_tokens", id), body)
	defer clear(a.body)
	if _, lost := errors.AsType[lostError](err); lost {
		p.lose(m)
		return t, err
	}
	if err != nil {
		return t, notMade(err) // the request never left
	}
	if a.status != http.StatusCreated {
		if a.status < 300 || a.status >= 500 {
			p.lose(m) // whatever happened there, it was no refusal
		}
		err = a.said("it is refused; see that the App is installed on " + p.where())
		if a.refusal() {
			err = notMade(err)
		}
		return t, err
	}
	parts := map[string]json.RawMessage{}
	err = json.Unmarshal(a.body, &parts)
	defer func() {
		for _, b := range parts {
			clear(b)
		}
	}()
	secret := tokenText(parts["token"])
	if err != nil || secret == nil {
		p.lose(m)
		return t, errors.New("GitHub's answer holds no token")
	}
	t.secret = ambit.NewSecret(secret)
	p.add(m, t.secret)
	if t.expires, err = p.checkToken(parts, want, a.date); err != nil {
		// More than was asked for must not be used, not even for less.
		return t, errors.Join(err, p.revoke(ctx, t.secret))
	}
	return t, nil
}

func (p *Provider) where() string {
	if p.c.All {
		return "all of " + p.c.Owner
	}
	return p.c.Owner + "/" + strings.Join(p.c.Repositories, ", "+p.c.Owner+"/")
}

// tokenText takes the token out of its JSON string without leaving a copy that
// cannot be wiped. It returns nil when it is not plain.
func tokenText(raw json.RawMessage) []byte {
	if len(raw) < 12 || len(raw) > 4096 || raw[0] != '"' || raw[len(raw)-1] != '"' {
		return nil
	}
	b := raw[1 : len(raw)-1]
	for _, c := range b {
		if (c|0x20 < 'a' || c|0x20 > 'z') && (c < '0' || c > '9') && c != '_' && c != '-' && c != '.' {
			return nil
		}
	}
	return bytes.Clone(b)
}

// checkToken says what is wrong with what a token is for, and when it ends.
func (p *Provider) checkToken(parts map[string]json.RawMessage, want map[string]string, date time.Time) (ends time.Time, err error) {
	var perms map[string]string
	var repos []struct {
		Name string `json:"full_name"`
	}
	var selection string
	err = errors.Join(shape(parts, "expires_at", &ends), shape(parts, "permissions", &perms))
	if !p.c.All {
		err = errors.Join(err, shape(parts, "repositories", &repos), shape(parts, "repository_selection", &selection))
	}
	if err != nil {
		return ends, err
	}
	for name, level := range perms {
		// GitHub adds reading of the metadata to every token.
		if name == "metadata" && level == "read" {
			continue
		}
		if rank(level) == 0 || rank(level) > rank(want[name]) {
			return ends, fmt.Errorf("GitHub made a token with more than was asked for: %s:%s", plain(name, 64), plain(level, 16))
		}
	}
	if !p.c.All && (selection != "selected" || len(repos) == 0) {
		return ends, errors.New("GitHub made a token that is not for the named repositories alone")
	}
	for _, r := range repos {
		owner, name, _ := strings.Cut(r.Name, "/")
		if !strings.EqualFold(owner, p.c.Owner) || !slices.ContainsFunc(p.c.Repositories, func(s string) bool { return strings.EqualFold(s, name) }) {
			return ends, fmt.Errorf("GitHub made a token for a repository that was not asked for: %s", plain(r.Name, 200))
		}
	}
	return ends, p.checkEnd(ends, date)
}

func (p *Provider) checkEnd(ends, date time.Time) error {
	if date.IsZero() {
		date = p.now().Add(p.ahead())
	}
	if left := ends.Sub(date); left <= 0 || left > tokenLife+lifeMargin {
		return fmt.Errorf("GitHub made a token that ends in %v: want an hour at most", left.Round(time.Second))
	}
	return nil
}

func shape(parts map[string]json.RawMessage, name string, into any) error {
	if len(parts[name]) == 0 || json.Unmarshal(parts[name], into) != nil {
		return fmt.Errorf("GitHub's answer does not say the token's %s", name)
	}
	return nil
}

// revoke ends a token. That it is dead already is no error.
func (p *Provider) revoke(ctx context.Context, t ambit.SecretValue) error {
	a, err := p.call(ctx, http.MethodDelete, "/installation/token", "Bearer "+string(t.Reveal()), nil)
	if err != nil {
		return fmt.Errorf("the token cannot be revoked: %w", err)
	}
	if a.status != http.StatusNoContent && a.status != http.StatusUnauthorized {
		return a.said("the token cannot be revoked")
	}
	return nil
}

// usable asks GitHub whether it takes a token. Only a 401 says no.
func (p *Provider) usable(ctx context.Context, t ambit.SecretValue) (bool, error) {
	a, err := p.call(ctx, http.MethodGet, "/installation/repositories?per_page=1", "Bearer "+string(t.Reveal()), nil)
	switch {
	case err != nil:
		return true, fmt.Errorf("GitHub cannot be asked whether the token has ended: %w", err)
	case a.status == http.StatusUnauthorized:
		return false, nil
	case a.status == http.StatusOK:
		return true, nil
	}
	return true, a.said("GitHub does not say whether the token has ended")
}
