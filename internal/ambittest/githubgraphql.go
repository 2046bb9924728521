package ambittest

import (
	"net/http"
)

func (g *GitHub) graphQL(w http.ResponseWriter, r *http.Request) { complainJSON(w, 404, "Not Found") }
