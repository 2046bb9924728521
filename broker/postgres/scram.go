package postgres

import (
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
)

// scramIterations is the least that RFC 7677 section 4 allows, and PostgreSQL's
// default. The password has 256 random bits: nobody will guess it.
const scramIterations = 4096

// scramVerifier is what a database keeps of a password (RFC 5802 section 3, and
// PostgreSQL's pg_authid.rolpassword). The password itself is never sent: it would
// be in the statements that the database logs.
func scramVerifier(password string) (string, error) {
	var salt [16]byte
	rand.Read(salt[:]) // never fails
	salted, err := pbkdf2.Key(sha256.New, password, salt[:], scramIterations, sha256.Size)
	if err != nil {
		return "", err
	}
	defer clear(salted)
	mac := func(text string) []byte {
		h := hmac.New(sha256.New, salted)
		h.Write([]byte(text)) // never fails
		return h.Sum(nil)
	}
	stored := sha256.Sum256(mac("Client Key"))
	b64 := base64.StdEncoding.EncodeToString
	return fmt.Sprintf("SCRAM-SHA-256$%d:%s$%s:%s", scramIterations, b64(salt[:]), b64(stored[:]), b64(mac("Server Key"))), nil
}
