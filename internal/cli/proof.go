package cli

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/loopkey/loopkey/internal/credential"
	"github.com/loopkey/loopkey/provider"
)

// proofFlags are the flags of `loopkey token` for one request with a token that is bound to a key (DPoP, RFC 9449).
type proofFlags struct {
	wanted  bool
	nonce   string
	request *http.Request // of the arguments
}

// errNotBound says that a proof was asked for, and the session's tokens need none.
var errNotBound = errors.New("the session's access tokens are bound to no key, so there is nothing to prove")

func (f *proofFlags) add(flags *pflag.FlagSet) {
	flags.BoolVar(&f.wanted, "dpop-proof", false,
		"for one request, METHOD URL: print its header fields, of a session that is bound to a key (--dpop)")
	flags.StringVar(&f.nonce, "nonce", "", "the nonce that the server asked for, with --dpop-proof")
}

// args takes the method and the URL of the request.
func (f *proofFlags) args(cmd *cobra.Command, args []string) error {
	if !f.wanted {
		if f.nonce != "" {
			return fmt.Errorf("%w: --nonce goes with --dpop-proof METHOD URL", errUsage)
		}
		return noArgs(cmd, args)
	}
	if len(args) != 2 {
		return fmt.Errorf("%w: --dpop-proof takes a method and a URL, as in --dpop-proof GET https://api.example.com/",
			errUsage)
	}
	request, err := provider.ProofRequest(cmd.Context(), args[0], args[1])
	if err != nil {
		return usageError(err)
	}
	f.request = request
	return nil
}

// A proofJSON is what `loopkey token --dpop-proof -o json` prints.
type proofJSON struct {
	credential.AccessTokenJSON
	Proof string `json:"dpop_proof"`
}

// runProof prints the header fields of one request: the access token, and the proof of the key for that request alone.
// grant says that the token of another grant was asked for.
func (a *app) runProof(ctx context.Context, f tokenFlags, grant bool) error {
	if err := checkOutput(f.output, "raw", "json", "header"); err != nil {
		return err
	}
	if f.copy || f.idToken || grant {
		return fmt.Errorf("%w: --dpop-proof is for the session's access token: it goes with no other token, nor with --copy",
			errUsage)
	}
	if err := f.check(); err != nil {
		return err
	}
	source, cfg, err := a.source()
	if err == nil {
		err = cfg.Needs("audience")
	}
	if err != nil {
		return err
	}
	request := a.request(cfg, f)
	request.Proves = true
	token, _, err := a.accessToken(ctx, source, request)
	if err != nil {
		return err
	}
	if token.Prover == nil {
		return errNotBound
	}
	proof, err := token.Prover.Proof(f.proof.request, token.Token, f.proof.nonce)
	if errors.Is(err, provider.ErrProofRequest) {
		return usageError(err)
	}
	if err != nil {
		return err
	}
	a.recorder(cfg, f.tool(), "").note(accessToken, token.Audience, token.Token)
	fields := "Authorization: DPoP " + token.Token.Reveal() + "\nDPoP: " + proof.Reveal()
	output := f.output
	if output == "header" { // these are the header's fields
		output = "raw"
	}
	return a.print(output, fields, proofJSON{credential.JSONOf(token), proof.Reveal()})
}
