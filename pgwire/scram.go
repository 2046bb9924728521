package pgwire

import (
	"bytes"
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// The mechanisms that are spoken (RFC 5802, RFC 7677); the second binds the login to the
// server's certificate.
const (
	scramSHA256 = "SCRAM-SHA-256"
	scramPlus   = "SCRAM-SHA-256-PLUS"
)

// Bounds of what a server may ask for.
const (
	minRounds = 4096 // the least that RFC 7677 section 4 allows, and PostgreSQL's default
	maxRounds = 1 << 20
	maxSalt   = 1 << 10 // bytes
)

// scram is one proof of a password. The password itself is never sent, and the
// server proves that it knows it too.
type scram struct {
	mechanism string
	password  []byte
	header    string // GS2: whether the login is bound to TLS
	binding   []byte // what it is bound to
	first     string // client-first-message-bare
	nonce     string
	signature []byte // that the server must send
}

// newSCRAM begins a proof. The bytes of the password are taken as they are: SASLprep
// (RFC 4013) changes none that are ASCII, and others must be in its form already.
func newSCRAM(mechanisms []string, password, binding []byte) (*scram, error) {
	if !slices.Contains(mechanisms, scramSHA256) && (binding == nil || !slices.Contains(mechanisms, scramPlus)) {
		return nil, fmt.Errorf("the database offers no %s: %w", scramSHA256, ErrGivesAway)
	}
	if len(password) == 0 {
		return nil, errors.New("the database asks for a password, and there is none")
	}
	nonce := rand.Text()
	s := &scram{mechanism: scramSHA256, password: password, header: "n,,", nonce: nonce, first: "n=,r=" + nonce}
	switch {
	case binding == nil:
	case slices.Contains(mechanisms, scramPlus):
		s.mechanism, s.header, s.binding = scramPlus, "p=tls-server-end-point,,", binding
	default:
		// Whoever is on the way and took the other mechanism from the list is found out: a
		// server that offered it refuses this. One that can also be had in plain text did not.
		s.header = "y,,"
	}
	return s, nil
}

// begin is the client's first message.
func (s *scram) begin() []byte { return []byte(s.header + s.first) }

// answer makes the client's final message of the server's first. It is made once: each
// answer is something to guess the password by.
func (s *scram) answer(challenge []byte) ([]byte, error) {
	if s.signature != nil {
		return nil, errors.New("the database asks for a second proof of the password")
	}
	nonce, salt, rounds, err := s.take(string(challenge))
	if err != nil {
		return nil, err
	}
	salted, err := pbkdf2.Key(sha256.New, string(s.password), salt, rounds, sha256.Size)
	if err != nil {
		return nil, err
	}
	defer clear(salted)
	bound := base64.StdEncoding.EncodeToString(append([]byte(s.header), s.binding...))
	final := "c=" + bound + ",r=" + nonce
	auth := []byte(s.first + "," + string(challenge) + "," + final)
	key := mac(salted, []byte("Client Key"))
	defer clear(key)
	stored := sha256.Sum256(key)
	proof := mac(stored[:], auth)
	for i := range proof {
		proof[i] ^= key[i]
	}
	s.signature = mac(mac(salted, []byte("Server Key")), auth)
	return []byte(final + ",p=" + base64.StdEncoding.EncodeToString(proof)), nil
}

// take takes the server's first message apart.
func (s *scram) take(challenge string) (nonce string, salt []byte, rounds int, err error) {
	disorder := errors.New("the database's challenge is not in order")
	fields := strings.Split(challenge, ",")
	if len(fields) < 3 {
		return "", nil, 0, disorder
	}
	nonce, ok1 := strings.CutPrefix(fields[0], "r=")
	saltText, ok2 := strings.CutPrefix(fields[1], "s=")
	roundsText, ok3 := strings.CutPrefix(fields[2], "i=")
	salt, err1 := base64.StdEncoding.DecodeString(saltText)
	rounds, err2 := strconv.Atoi(roundsText)
	switch {
	case !ok1 || !ok2 || !ok3 || err1 != nil || err2 != nil || len(salt) == 0 || len(salt) > maxSalt:
		return "", nil, 0, disorder
	case !strings.HasPrefix(nonce, s.nonce) || len(nonce) == len(s.nonce):
		return "", nil, 0, errors.New("the database's challenge answers another question")
	case rounds < minRounds || rounds > maxRounds:
		return "", nil, 0, fmt.Errorf("the database asks for %d rounds, which is too few or too many", rounds)
	}
	return nonce, salt, rounds, nil
}

var errNotProved = errors.New("the database did not prove that it knows the role")

// verify checks that the server knows the password.
func (s *scram) verify(final []byte) error {
	text, ok := bytes.CutPrefix(final, []byte("v="))
	got, err := base64.StdEncoding.DecodeString(string(text))
	if !ok || err != nil || len(s.signature) == 0 || !hmac.Equal(got, s.signature) {
		return errNotProved
	}
	return nil
}

func mac(key, text []byte) []byte {
	h := hmac.New(sha256.New, key)
	h.Write(text) // never fails
	return h.Sum(nil)
}

// Verifier is what a database keeps of a password (RFC 5802 section 3, and PostgreSQL's
// pg_authid.rolpassword), with a salt of its own. The password itself is never sent: it
// would be in the statements that the database logs.
func Verifier(password []byte) (string, error) {
	var salt [16]byte
	rand.Read(salt[:]) // never fails
	salted, err := pbkdf2.Key(sha256.New, string(password), salt[:], minRounds, sha256.Size)
	if err != nil {
		return "", err
	}
	defer clear(salted)
	stored := sha256.Sum256(mac(salted, []byte("Client Key")))
	b64 := base64.StdEncoding.EncodeToString
	return fmt.Sprintf("%s$%d:%s$%s:%s", scramSHA256, minRounds, b64(salt[:]), b64(stored[:]), b64(mac(salted, []byte("Server Key")))), nil
}
