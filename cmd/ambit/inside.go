package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/spf13/cobra"

	"ambit/daemon/keeper"
	"ambit/sandbox"
)

func whoamiCmd() *cobra.Command {
	c := &cobra.Command{
		Use: "whoami", Short: "Inside a sandbox: who this agent is and what it may do", Args: cobra.NoArgs,
	}
	asJSON := jsonFlag(c)
	c.RunE = func(c *cobra.Command, _ []string) error {
		sock := os.Getenv("AMBIT_SOCKET")
		if sock == "" {
			return errors.New("cannot tell: this is not inside a sandbox of Ambit (AMBIT_SOCKET is not set)")
		}
		w, err := whoAmI(c.Context(), sock)
		if err != nil {
			return fmt.Errorf("cannot ask the gatekeeper: %w", err)
		}
		if *asJSON {
			return printJSON(os.Stdout, w)
		}
		fmt.Printf("agent     %s\ntask      %s\nidentity  %s\nfor       %s\nexpires   %s\nstate     %s\n\n%s", w.Agent, w.Task, w.SPIFFEID,
			w.OnBehalfOf, w.Expires.Local().Format(time.DateTime), w.State, w.May)
		return nil
	}
	return c
}

func whoAmI(ctx context.Context, sock string) (w keeper.WhoAmI, err error) {
	t := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", sock)
	}}
	defer t.CloseIdleConnections()
	req, err := http.NewRequestWithContext(ctx, "GET", "http://ambit/v1/whoami", nil)
	if err != nil {
		return w, err
	}
	res, err := (&http.Client{Transport: t, Timeout: 5 * time.Second}).Do(req)
	if err != nil {
		return w, err
	}
	defer res.Body.Close()
	return w, json.NewDecoder(io.LimitReader(res.Body, 4<<20)).Decode(&w)
}

func doctorCmd() *cobra.Command {
	c := &cobra.Command{
		Use: "doctor", Short: "Check this machine, and say what to do about what is missing", Args: cobra.NoArgs,
		Long: "Check what the walls need on this machine. Exit status 1 when something that is needed is missing.",
	}
	asJSON := jsonFlag(c)
	c.RunE = func(*cobra.Command, []string) error {
		// The walls that stand here would look like what the machine lacks.
		if os.Getenv("AMBIT_SOCKET") != "" {
			return errors.New("cannot check the machine from inside Ambit's sandbox: run `ambit doctor` in a shell outside it, where `ambit run` was started; `ambit whoami` says what this agent may do")
		}
		fs := sandbox.Doctor()
		if *asJSON {
			if err := printJSON(os.Stdout, fs); err != nil {
				return err
			}
		}
		bad := 0
		for _, f := range fs {
			if !f.OK && f.Needed {
				bad++
			}
			if !*asJSON {
				printFinding(os.Stdout, f)
			}
		}
		if bad > 0 {
			return status{exitFailed, fmt.Sprintf("%d things that Ambit needs are missing", bad)}
		}
		return nil
	}
	return c
}

func printFinding(w io.Writer, f sandbox.Finding) {
	mark := "ok      "
	switch {
	case !f.OK && f.Needed:
		mark = "MISSING "
	case !f.OK:
		mark = "weaker  "
	}
	fmt.Fprintf(w, "%s %s: %s\n", mark, f.Name, f.Found)
	if !f.OK && f.Remedy != "" {
		fmt.Fprintf(w, "         → %s\n", f.Remedy)
	}
}
