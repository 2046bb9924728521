// Command client asks for a URL with nothing but the standard library's
// defaults, and prints the status and the body.
package main

import (
	"fmt"
	"io"
	"net/http"
	"os"
)

func main() {
	res, err := http.Get(os.Args[1])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	fmt.Println(res.StatusCode, string(b), err)
}
