package grants

import "go.yaml.in/yaml/v3"

const (
	appFix = "write credential: {app: 12345, key: {file: PATH}}, with the App's ID and where its private key is kept"
	// maxNumber bounds GitHub's numbers. Larger ones would not be exact everywhere.
	maxNumber = 1 << 53
)

// app reads the credential of a GitHub App: which one, where its key is kept, and
// which installation.
func (w *walker) app(n *yaml.Node, m map[string]*yaml.Node) *Credential {
	c := &Credential{Pos: nodePos(n)}
	for _, other := range []string{"env", "file", "command", "jwt"} {
		if m[other] != nil {
			w.add(nodePos(m[other]), appFix, "the credential of a GitHub App has no %s of its own", other)
			return nil
		}
	}
	if m["app"] == nil || m["key"] == nil {
		w.add(c.Pos, appFix, "the credential of a GitHub App needs both app and key")
		return nil
	}
	if m["key"].Kind == yaml.ScalarNode {
		// Whatever stands here may be the key itself: never repeat it.
		w.add(nodePos(m["key"]), appFix, "a key is not written into the file")
		return nil
	}
	places := w.fields(m["key"], "a key", "env", "file", "command")
	if len(places) != 1 {
		w.add(nodePos(m["key"]), appFix, "a key is kept in exactly one place")
		return nil
	}
	if w.place(c, places) == nil {
		return nil
	}
	c.App = w.integer(m["app"], "app", 1, maxNumber)
	if v := m["installation"]; v != nil {
		c.Installation = w.integer(v, "installation", 1, maxNumber)
	}
	return c
}
