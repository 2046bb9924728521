package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"ambit/console"
)

func trustCmd() *cobra.Command {
	c := &cobra.Command{
		Use: "trust", Short: "Print what others need to verify the identities of tasks", Args: cobra.NoArgs,
		Long: `Print the trust bundle, which is public: whoever has it can verify the X.509-SVIDs and
JWT-SVIDs of this machine's tasks. It is a SPIFFE bundle, a JSON Web Key Set, as the services
expect it that take a task's own identity (credential: {jwt: AUDIENCE}).`,
		Example: "  ambit trust > bundle.json\n  ambit trust --pem > roots.pem",
	}
	asPEM := c.Flags().Bool("pem", false, "print the X.509 roots in PEM form")
	asJSON := c.Flags().Bool("json", false, "print the trust domain, the bundle and the roots in one JSON object")
	c.RunE = withDesk(func(ctx context.Context, d *console.Client, _ []string) error {
		t, err := d.Trust(ctx)
		switch {
		case err != nil:
			return err
		case *asJSON:
			return printJSON(os.Stdout, t)
		case *asPEM:
			fmt.Print(t.PEM)
			return nil
		}
		var b bytes.Buffer
		if err := json.Indent(&b, t.Bundle, "", "  "); err != nil {
			return fmt.Errorf("cannot read the bundle: %w", err)
		}
		fmt.Println(b.String())
		return nil
	})
	return c
}
