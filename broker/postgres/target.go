package postgres

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
)

// Target is where a database is and how one speaks to it.
type Target struct {
	Host     string // the name that its certificate must have
	Port     uint16
	Dial     string // host:port that is dialled
	Database string
	TLS      *tls.Config // nil for plain text
}

// login is what the administrator's URL holds.
type login struct {
	Target
	user         string
	password, ca []byte
	unproved     bool // a server that does not ask for the password is believed
}

// parse reads the administrator's URL,
// postgres://USER:PASSWORD@HOST:PORT/DATABASE?sslmode=MODE, where MODE is
// verify-full (what holds when none is given, but for this machine's own
// addresses), require (TLS that shows no name, against those who only listen) or
// disable. What the service says goes before what the URL says; nothing is taken from
// the environment. No error repeats the URL.
func (c *Config) parse() (l login, err error) {
	defer func() {
		if err != nil {
			l, err = login{}, fmt.Errorf("cannot use the administrator's URL of the database: %w; want postgres://USER:PASSWORD@HOST:PORT/DATABASE", err)
		}
	}()
	u, err := url.Parse(string(c.Admin))
	if err != nil {
		return l, errors.New("it is no URL") // the error of Parse repeats it
	}
	password, _ := u.User.Password()
	l.password = []byte(password)
	l.user, l.Host, l.Database = u.User.Username(), u.Hostname(), strings.TrimPrefix(u.Path, "/")
	switch {
	case u.Scheme != "postgres" && u.Scheme != "postgresql":
		return l, errors.New("its scheme is not postgres")
	case l.user == "":
		return l, errors.New("it names no user")
	case u.Fragment != "" || u.Opaque != "":
		return l, errors.New("it has a part that means nothing here")
	}
	if l.Port, err = port(u.Port()); err != nil {
		return l, err
	}
	if err := l.serviceSays(c); err != nil {
		return l, err
	}
	switch {
	case l.Host == "":
		return l, errors.New("it names no host: a Unix socket is not supported")
	case l.Database == "":
		return l, errors.New("it names no database")
	case badText(l.user) || badText(password) || badText(l.Database):
		return l, errors.New("it holds a zero byte")
	}
	if l.Dial == "" {
		l.Dial = net.JoinHostPort(l.Host, strconv.Itoa(int(l.Port)))
	}
	l.ca = c.CA
	dialled, _, err := net.SplitHostPort(l.Dial)
	if err != nil {
		return l, errors.New("its host is no host")
	}
	l.TLS, err = c.tls(u.Query(), l.Host, dialled)
	return l, err
}

// serviceSays puts what the service says in the place of what the URL says.
func (l *login) serviceSays(c *Config) error {
	if c.Address != "" {
		host, p, err := net.SplitHostPort(c.Address)
		if err != nil {
			return errors.New("the service's address is not host:port")
		}
		if l.Port, err = port(p); err != nil {
			return err
		}
		l.Host, l.Dial = host, c.Address
	}
	if c.Host != "" {
		l.Host = c.Host
	}
	if c.Database != "" {
		l.Database = c.Database
	}
	return nil
}

func badText(s string) bool { return strings.ContainsRune(s, 0) }

func port(s string) (uint16, error) {
	if s == "" {
		return 5432, nil
	}
	n, err := strconv.ParseUint(s, 10, 16)
	if err != nil || n == 0 {
		return 0, errors.New("its port is no port")
	}
	return uint16(n), nil
}

// tls is how a database is spoken to whose certificate has the name host. Whether it is
// this machine's own is said by where it is dialled: a name can be anybody's.
func (c *Config) tls(q url.Values, host, dialled string) (*tls.Config, error) {
	for k, v := range q {
		if k != "sslmode" || len(v) != 1 {
			return nil, fmt.Errorf("the parameter %.40q is not supported", k)
		}
	}
	mode := q.Get("sslmode")
	switch {
	case c.TLS != "" && c.TLS != "on" && c.TLS != "off":
		return nil, errors.New("the service's tls is neither on nor off")
	case c.TLS == "off" && (mode == "verify-full" || len(c.CA) > 0):
		return nil, errors.New("the service's tls is off, and its ca or the sslmode says that a certificate is checked")
	case c.TLS == "off":
		mode = "disable"
	case c.TLS == "on", mode == "" && (len(c.CA) > 0 || !local(dialled)):
		mode = "verify-full"
	}
	t := &tls.Config{ServerName: host, MinVersion: tls.VersionTLS12}
	if len(c.CA) > 0 {
		t.RootCAs = x509.NewCertPool()
		if !t.RootCAs.AppendCertsFromPEM(c.CA) {
			return nil, errors.New("the service's ca holds no certificate in PEM form")
		}
	}
	switch {
	case mode == "verify-full":
		return t, nil
	case len(c.CA) > 0:
		return nil, fmt.Errorf("its sslmode %.20s says less than the service's ca: leave one of them out", mode)
	case mode == "", mode == "disable":
		return nil, nil
	case mode == "require":
		t.InsecureSkipVerify = true // as the person wrote: against those who only listen
		return t, nil
	}
	return nil, errors.New("its sslmode is none of verify-full, require and disable")
}

// local says whether a host is this machine, where nobody can listen in between.
func local(host string) bool {
	a, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && a.IsLoopback()
}
