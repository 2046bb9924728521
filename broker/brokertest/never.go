package brokertest

import (
	"errors"
	"testing"

	"ambit/broker"
)

// believes does what a broker does with an error that says that nothing was made:
// nothing. Then there must be nothing.
func (w World) believes(t *testing.T, o broker.Order, c broker.Credential, err error) {
	t.Helper()
	if !errors.Is(err, broker.ErrNotMade) {
		return
	}
	if !c.Secret.Empty() || c.Handle != "" {
		t.Error("nothing was made, and here it is")
	}
	if usable, err := w.Provider.Prove(t.Context(), lease(o, c, w.Provider)); err != nil || usable {
		t.Errorf("nothing was made, and Prove = %v, %v", usable, err)
	}
}

// refused is a provider that the service refuses. It could end nothing: so it must say
// that there is nothing to end.
func refused(t *testing.T, w World) {
	if lacks(t, w.Refused == nil) {
		return
	}
	o := order(1)
	c, err := w.Refused().Mint(t.Context(), o)
	if !errors.Is(err, broker.ErrNotMade) {
		t.Errorf("Mint: %v, want one that is ErrNotMade", err)
	}
	w.believes(t, o, c, err)
}

// lost is a mint that was done and whose answer never came: nobody may say that nothing
// was made, however the attempts after it went.
func lost(t *testing.T, w World) {
	if lacks(t, w.Lose == nil) {
		return
	}
	w.mint(t, order(1)) // there are connections that can break
	o := order(2)
	back := w.Lose()
	c, err := w.Provider.Mint(t.Context(), o)
	back()
	if err == nil || errors.Is(err, broker.ErrNotMade) {
		t.Errorf("Mint: %v", err)
	}
	l := lease(o, c, w.Provider)
	if usable, err := w.Provider.Prove(t.Context(), l); err == nil && !usable {
		t.Error("proved to be over before it was ended")
	}
	w.revoke(t, l)
}
