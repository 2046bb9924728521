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
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGHUP)
	word := ""
	if len(os.Args) > 1 {
		word = os.Args[1]
	}
	ok, err := plainRun(ctx, os.Args)
	if !ok {
		err = root(word).ExecuteContext(ctx)
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
