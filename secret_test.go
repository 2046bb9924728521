package ambit

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

func TestSecretNeverPrints(t *testing.T) {
	const canary = "CANARY-31337"
	s := NewSecret([]byte(canary))
	hidden := struct{ inner SecretValue }{s}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%o", "%c", "%U", "%T", "%e", "%p"} {
		for _, v := range []any{s, &s, hidden, &hidden, []SecretValue{s}, map[string]SecretValue{"k": s}, struct{ S SecretValue }{s}} {
			out := fmt.Sprintf(verb, v)
			bytes := strings.Trim(fmt.Sprint([]byte(canary)), "[]")
			for _, leak := range []string{canary, bytes, fmt.Sprintf("%x", canary), fmt.Sprintf("%X", canary), "0x43, 0x41"} {
				if strings.Contains(out, leak) {
					t.Errorf("%s of %T prints %s", verb, v, out)
				}
			}
		}
	}
	if b, err := json.Marshal(struct{ S SecretValue }{s}); err != nil || string(b) != `{"S":"[secret]"}` {
		t.Errorf("json: %s, %v", b, err)
	}
	if string(s.Reveal()) != canary {
		t.Error("Reveal does not")
	}
	s.Wipe()
	if strings.Contains(string(s.Reveal()), "CANARY") {
		t.Error("Wipe does not")
	}
	if !(SecretValue{}).Empty() || (SecretValue{}).Reveal() != nil {
		t.Error("the zero secret is not empty")
	}
}
