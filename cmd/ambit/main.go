// Command ambit runs an AI agent inside its ambit: exactly the access that its
// task needs, and not one permission more.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	word := ""
	if len(os.Args) > 1 {
		word = os.Args[1]
	}
	ctx, stop := context.Background(), func() {}
	if word != "run" { // it passes signals on; until it can, they end it
		ctx, stop = signal.NotifyContext(ctx, syscall.SIGTERM, syscall.SIGHUP)
	}
	ok, err := plainRun(ctx, os.Args)
	if !ok {
		c := root(word)
		if err = stray(c, os.Args[1:]); err == nil {
			err = c.ExecuteContext(ctx)
		}
	}
	stop()
	if err != nil {
		code := exitCode(err)
		if m := err.Error(); m != "" {
			fmt.Fprintln(os.Stderr, "ambit:", m)
		}
		os.Exit(code)
	}
}
