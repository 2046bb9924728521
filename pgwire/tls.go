package pgwire

import (
	"context"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"os"
	"time"
)

// Encrypt asks the server for TLS and verifies it as t says. A server that speaks none is
// an error: whoever is on the way could say so.
func Encrypt(ctx context.Context, c net.Conn, t *tls.Config) (*tls.Conn, error) {
	if err := askTLS(ctx, c); err != nil {
		return nil, err
	}
	s := tls.Client(c, t)
	if err := s.HandshakeContext(ctx); err != nil {
		return nil, brief(late(ctx, gone(err)))
	}
	return s, nil
}

// brief is an error of TLS without what it holds of a certificate: the names there are
// anybody's words, and go on for a quarter of a megabyte, and errors are kept.
func brief(err error) error {
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return errors.New(shown(err.Error(), 1000))
}

func askTLS(ctx context.Context, c net.Conn) error {
	defer watch(ctx, c)()
	if _, err := c.Write([]byte{0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f}); err != nil { // SSLRequest
		return late(ctx, gone(err))
	}
	// One byte and no more: what follows it unencrypted must not be read as if it were
	// encrypted, whoever put it there (CVE-2021-23222); TLS itself refuses it. Nor is the
	// text of an error shown that anybody can have written (CVE-2024-10977).
	var answer [1]byte
	if _, err := c.Read(answer[:]); err != nil {
		return late(ctx, gone(err))
	}
	if answer[0] != 'S' {
		return errors.New("the database does not speak TLS; turn it on there, or write tls: off for the service when nobody can be on the way")
	}
	return nil
}

// watch ends what is read from c and written to it when ctx ends, until the returned
// function is called, which leaves c without a deadline.
func watch(ctx context.Context, c net.Conn) (end func()) {
	done := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		c.SetDeadline(time.Unix(1, 0))
		close(done)
	})
	return func() {
		if !stop() {
			<-done // or the deadline would come after it was taken back
		}
		c.SetDeadline(time.Time{})
	}
}

// endPoint is what a login over TLS binds to the server's certificate (RFC 5929 section
// 4.1, tls-server-end-point), nil when its signature has no hash to do so by.
func endPoint(c *tls.Conn) []byte {
	all := c.ConnectionState().PeerCertificates
	if len(all) == 0 {
		return nil
	}
	switch all[0].SignatureAlgorithm {
	case x509.MD5WithRSA, x509.SHA1WithRSA, x509.ECDSAWithSHA1, x509.SHA256WithRSA, x509.SHA256WithRSAPSS, x509.ECDSAWithSHA256:
		h := sha256.Sum256(all[0].Raw)
		return h[:]
	case x509.SHA384WithRSA, x509.SHA384WithRSAPSS, x509.ECDSAWithSHA384:
		h := sha512.Sum384(all[0].Raw)
		return h[:]
	case x509.SHA512WithRSA, x509.SHA512WithRSAPSS, x509.ECDSAWithSHA512:
		h := sha512.Sum512(all[0].Raw)
		return h[:]
	}
	return nil
}
