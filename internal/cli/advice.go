package cli

import (
	"cmp"
	"errors"
	"net"
	"net/url"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/loopkey/loopkey/internal/agent"
	"github.com/loopkey/loopkey/internal/ci"
	"github.com/loopkey/loopkey/internal/clientkey"
	"github.com/loopkey/loopkey/internal/config"
	"github.com/loopkey/loopkey/internal/credential"
	"github.com/loopkey/loopkey/internal/doctor"
	"github.com/loopkey/loopkey/internal/handoff"
	"github.com/loopkey/loopkey/internal/known"
	"github.com/loopkey/loopkey/internal/localhost"
	"github.com/loopkey/loopkey/internal/localurl"
	"github.com/loopkey/loopkey/internal/login"
	"github.com/loopkey/loopkey/internal/mcp"
	"github.com/loopkey/loopkey/internal/private"
	"github.com/loopkey/loopkey/internal/setup"
	"github.com/loopkey/loopkey/internal/sharedstore"
	"github.com/loopkey/loopkey/internal/sts"
	"github.com/loopkey/loopkey/internal/upstream"
	"github.com/loopkey/loopkey/internal/words"
	"github.com/loopkey/loopkey/keystore"
	"github.com/loopkey/loopkey/loopback"
	"github.com/loopkey/loopkey/provider"
	"github.com/loopkey/loopkey/session"
	"github.com/loopkey/loopkey/webui"
)

// An advice is a row of the table of what a person can do: a sentence about a reason that an error gives, or about all
// errors of a kind. A name in braces stands for a part that the error or the situation fills in.
type advice struct {
	about any    // a Reason of the provider, the keystore or this package; a sentinel; or nil of an error's type
	text  string // a part of a sentence, after a colon
	auth0 string // the same for an Auth0 tenant; "": text
}

// A section is a row that stands for no error: it is a heading for those that follow.
type section string

// A reason says why this package could not do something, or did only a part of it.
type reason string

const (
	reasonMaybeCallback  reason = "maybe_callback"   // nobody came back from the provider, which may have refused the URL
	reasonMaybeAudiences reason = "maybe_audiences"  // nobody came back, and the login asked for several audiences at once
	reasonPortReserved   reason = "port_reserved"    // Windows keeps the port for itself
	reasonPortDenied     reason = "port_denied"      // the port is for administrators
	reasonUnlistedScope  reason = "unlisted_scope"   // nobody came back, and discovery does not name all scopes
	reasonMaybeLogoutURL reason = "maybe_logout_url" // nobody came back from the provider's logout
	reasonScopeLeftOut   reason = "scope_left_out"   // the scope offline_access is left out: discovery lacks it
	reasonNoOffline      reason = "no_offline"       // no refresh token came, and the login did not ask for one
)

// advices returns the table. It is the one place that names flags, commands and settings to change.
func advices() []advice {
	return slices.Concat(providerAdvice(), keystoreAdvice(), loginAdvice(), serverAdvice(), doctorAdvice(), toolAdvice(),
		configurationAdvice(), generalAdvice())
}

func providerAdvice() []advice {
	return []advice{
		{about: section("The provider")},
		{provider.ReasonCallbackNotAllowed, "add the callback URL to Allowed Callback URLs ({settings})", ""},
		{
			provider.ReasonUnknownAPI,
			"the API identifier is not registered: create it under Dashboard → Applications → APIs, or change --audience",
			"",
		},
		{
			provider.ReasonOrganization,
			"check --organization, and that the user is a member of it and the application may use it", "",
		},
		{provider.ReasonDeviceGrantOff, "switch on Device Code (Grant Types in {settings})", ""},
		{provider.ReasonGrantNotAllowed, "switch on Authorization Code and Refresh Token (Grant Types in {settings})", ""},
		{
			provider.ReasonClientSecretMissing,
			"make the application a public client (native, desktop), or give {proof} ({settings})",
			"set the application type to Native, or give {proof} ({settings})",
		},
		{
			provider.ReasonClientSecretWrong,
			"check {the secret}, or make the application a public client (native, desktop) and give none ({settings})",
			"check {the secret}, or set the application type to Native and give none ({settings})",
		},
		{
			provider.ReasonClientKeyRefused,
			"register what {keys show} prints with the application, and let it authenticate by private_key_jwt " +
				"({settings}); if it is a public client whose requests are signed, set client_auth = \"none\" in the profile", "",
		},
		{
			provider.ReasonCertificateRefused,
			"register the certificate with the application, or its subject, for tls_client_auth or " +
				"self_signed_tls_client_auth ({settings})", "",
		},
		{
			provider.ReasonMethodNotOffered,
			"its metadata names neither (token_endpoint_auth_methods_supported): use a client secret, or a public client " +
				"(client_auth = \"none\" in the profile, where a key signs its requests)", "",
		},
		{provider.ReasonCertificateWanted, "give one that it knows with --client-certificate", ""},
		{provider.ReasonBoundElsewhere, "give the certificate that the token is for with --client-certificate", ""},
		{
			provider.ReasonKeyAlgorithm,
			"use another key with --client-key, or choose the algorithm of a new one: {keys make} --alg ES256", "",
		},
		{provider.ReasonKeyKind, "use another key with --client-key, or make one: {keys make}", ""},
		{
			provider.ReasonRequestsUnsigned,
			"give the client's key with --client-key; {keys make} makes one to register", "",
		},
		{
			provider.ReasonRequestRefused,
			"register what {keys show} prints with the application, for its request objects ({settings})", "",
		},
		{provider.ReasonRequestUnknown, "take sign_requests out of the profile", ""},
		{provider.ReasonNoPush, "leave --par out, and par in the profile", ""},
		{
			provider.ReasonUnknownClient,
			"check --client-id; without it loopkey registers a client of its own, where the server allows that", "",
		},
		{
			provider.ReasonNoPKCE,
			"whoever runs that server has to offer PKCE with S256, and to say so in its metadata", "",
		},
		{
			provider.ReasonInteractionRequired,
			"log in again without --prompt none; {login --prompt consent} asks for consent", "",
		},
		{
			provider.ReasonGrantOff,
			"let the application use that grant type, if the provider offers it ({settings})", "",
		},
		{
			provider.ReasonClientNotAuthorized, "let this client have tokens for that API at the provider",
			"authorize the application for the API (Dashboard → Applications → APIs → your API → Machine to Machine)",
		},
		{
			provider.ReasonSubjectRefused, "look that the token has not expired, is for {configured issuer} and is of the " +
				"type that --subject-token-type says", "",
		},
		{provider.ErrTwoProofs, "leave the client secret and the client's key out", ""},
		{
			provider.ErrPublicClient, "give its secret with --client-secret-file or in LOOPKEY_CLIENT_SECRET, or its key with " +
				"--client-key; {settings}", "",
		},
		{provider.ReasonDeclined, "the login was declined, or this user may not use the application", ""},
		{provider.ReasonAccessPolicy, "let an access policy of the authorization server allow this client and scope", ""},
		{provider.ReasonScope, "ask for fewer scopes with --scope", ""},
		{provider.ReasonTarget, "check --audience: the provider does not know it, or does not allow it to this client", ""},
		{provider.ReasonInvalidGrant, "run {login} again", ""},
		{provider.ReasonAnotherFactor, "run {login}, which lets the provider ask for it", ""},
		{provider.ReasonRefreshRefused, "if it goes on like that, run {login}", ""},
		{
			provider.ReasonProofMissing, "its tokens are bound to a key: run {login --dpop}, or set dpop = true in the profile",
			"",
		},
		{
			provider.ReasonMaybeProofMissing, "run {login} again; where the provider binds this client's tokens to keys " +
				"(dpop_bound_access_tokens), {login --dpop}", "",
		},
		{
			provider.ReasonProofOfGrant, "loopkey makes no proofs there: let the provider give this client tokens for that " +
				"grant which are bound to no key ({settings})", "",
		},
		{
			provider.ReasonProofRefused,
			"set this computer's clock if it is wrong; if it goes on like that, run {login}", "",
		},
		{provider.ReasonProofNonce, "whoever runs the provider has to correct that: it takes no nonce of its own", ""},
		{
			provider.ReasonNoDPoP,
			"without DPoP a session is made by a login with --dpop=false, and by dpop = false in the profile", "",
		},
		{
			provider.ReasonNotBound,
			"whoever runs the provider has to bind this client's tokens (dpop_bound_access_tokens); nothing was stored", "",
		},
		{provider.ReasonPushRequired, "this client has to push its requests: run {login} again, which does", ""},
		{provider.ReasonDeviceCodeExpired, "run {login --device} again", ""},
		{
			provider.ReasonDiscoveryUnavailable,
			"check --issuer (or --domain); where the metadata is not under the issuer, --discovery-url says where", "",
		},
		{provider.ReasonDiscoveryMoved, "use --issuer {issuer}", ""},
		{provider.ReasonDiscoveryElsewhere, "check --issuer (or --domain): that is no provider's metadata", ""},
		{
			provider.ReasonIssuerPlain, "tell the provider its public https address; behind a proxy that ends TLS, " +
				"Keycloak wants KC_HOSTNAME=https://HOST and KC_PROXY_HEADERS=xforwarded", "",
		},
		{
			provider.ReasonIssuerTemplate, "put your tenant's ID where --issuer has common or organizations, as in " +
				"https://login.microsoftonline.com/TENANT-ID/v2.0", "",
		},
		{provider.ReasonIssuerName, "if it is the right one, use --issuer {issuer}", ""},
		{provider.ReasonIssuerMissing, "check --issuer", ""},
		{provider.ReasonOtherClient, "check --client-id", ""},
		{provider.ReasonAlgorithm, "set the client's signature algorithm to one of these", ""},
		{
			provider.ReasonSymmetricAlgorithm, "set the application's JWT signature algorithm to RS256; in authentik, choose " +
				"a Signing Key", "set the application's JWT signature algorithm to RS256",
		},
		{
			provider.ReasonUnsigned, "let the provider sign ID tokens with RS256; Entra ID does so as " +
				"--issuer https://login.microsoftonline.com/TENANT-ID/v2.0", "",
		},
		{provider.ReasonNoIDToken, "is openid among the scopes?", ""},
		{
			provider.ReasonNoAccessToken,
			"ask for a scope of an API; for Azure AD B2C, run {login for the client}", "",
		},
		{provider.ReasonUnproven, "run {login}", ""},
		{
			provider.ReasonOrganizationUnnamed,
			"give --organization its ID (org_…), or allow names (Dashboard → Settings → Advanced → Organizations)", "",
		},
		{provider.ReasonOrganizationMissing, "check that the application may use organizations ({settings})", ""},
		{provider.ReasonOrganizationOther, "check --organization", ""},
		{
			provider.ReasonACR, "check --acr-values (--acr of a step-up), and that the provider lets this client ask for that " +
				"({settings})",
			"check --acr-values (--acr of a step-up), and that an Action asks for that authentication (Dashboard → Actions)",
		},
		{
			provider.ReasonMaxAge, "run {login --prompt login}, which asks for the authentication anew; a provider that heeds " +
				"neither can't do it", "",
		},
		{provider.ReasonClockBehind, "this computer's clock is {skew} behind the provider's: set it", ""},
		{provider.ReasonClockAhead, "this computer's clock is {skew} ahead of the provider's: set it", ""},
		{provider.ReasonClockProbablyBehind, "this computer's clock may be behind by that much: set it", ""},
		{provider.ReasonClockProbablyAhead, "if this computer's clock is ahead by that much, set it", ""},
		{
			provider.ReasonAudienceIgnored, "check --audience, and that the provider gives this client tokens for it",
			"check that this is the API's identifier (Dashboard → Applications → APIs)",
		},
		{ // a provider that does not know RFC 8707 passes it over
			provider.ReasonResourceIgnored,
			`check --audience, or set audience_parameter = "audience" in the profile, as some providers want it`, "",
		},
		{
			provider.ReasonAudienceNotRenewed, "run {login for the audience}",
			"allow it under Dashboard → Applications → your app → Multi-Resource Refresh Token, " +
				"or run {login for the audience}",
		},
		{
			provider.ReasonUnknownAuthority,
			"if you trust it, " + trustIt() + " and try again{kept}", "",
		},
		{
			provider.ReasonAuthorityFile, "name a file there that has the authority's certificate in PEM " +
				"(-----BEGIN CERTIFICATE-----), or unset it", "",
		},
		{
			provider.ReasonProxyAddress, "write it as http://user:password@host:port, the characters / ? # % @ : of the " +
				"password as %2F %3F %23 %25 %40 %3A", "",
		},
		{provider.ReasonProxySilent, "check HTTPS_PROXY, or try again when that proxy can be reached{kept}", ""},
		{provider.ReasonTooFewFiles, "raise the limit (ulimit -n), and try again{kept}", ""},
		{
			provider.ReasonProxyScheme, "run a proxy on this machine that does (px, cntlm) and name it: " +
				"HTTPS_PROXY=http://localhost:3128", "",
		},
		{
			provider.ReasonProxyLogin,
			"set HTTPS_PROXY=http://user:password@{proxy} and try again{kept}", "",
		},
	}
}

func keystoreAdvice() []advice {
	return []advice{
		{about: section("The keychain, and other places for sessions")},
		{
			keystore.ReasonNoAnswer,
			"answer the keychain's dialog if one is open, unlock the keychain and try again, " + orFile, "",
		},
		{keystore.ReasonTooSlow, "unlock it and try again, " + orFile, ""},
		{keystore.ReasonFailed, "try again, " + orFile, ""},
		{keystore.ReasonLocked, "unlock it and try again, " + orFile, ""},
		{keystore.ReasonLockedNoDisplay, onMac("run security unlock-keychain",
			"unlock it (gnome-keyring-daemon --unlock reads the password from stdin)") + ", " + orFile, ""},
		{keystore.ReasonDismissed, "try again and allow it, " + orFile, ""},
		{keystore.ReasonWrongPassword, "unlock the login keychain in Keychain Access, " + orFile, ""},
		{keystore.ReasonUnchanged, "try again and confirm its dialog, " + orFile, ""},
		{keystore.ReasonEntryTooLarge, "run {login with a file}", ""},
		{keystore.ReasonNoKeychain, "run {login with a file}", ""},
		{keystore.ReasonNoDefault, onMac("make one in Keychain Access",
			"create a keyring (Passwords and Keys, or kwalletmanager) and make it the default") + ", " + orFile, ""},
		{keystore.ReasonDenied, "run loopkey as yourself, " + orFile, ""},
		{keystore.ReasonNoLogonSession, "use a desktop session, " + orFile, ""},
		{keystore.ReasonFull, "remove credentials that are no longer used, " + orFile, ""},
		{
			keystore.ReasonNoBus,
			"log in to a desktop session, or run this under dbus-run-session with a Secret Service, " + orFile, "",
		},
		{keystore.ReasonBusAddress, "log in again or unset the variable, " + orFile, ""},
		{keystore.ReasonBusClosed, "try again; under sudo or su, the session is another user's; " + orFile, ""},
		{keystore.ReasonOtherUser, "under sudo or su, the session is another user's: run loopkey as yourself, " + orFile, ""},
		{keystore.ReasonNoService, "start gnome-keyring, KWallet or KeePassXC, " + orFile, ""},
		{keystore.ReasonServiceSilent, "restart it, " + orFile, ""},
		{keystore.ReasonSandbox, "allow org.freedesktop.secrets to the sandbox, " + orFile, ""},
		{keystore.ReasonNoPassphrase, "set LOOPKEY_PASSPHRASE, or type it", ""},
		{reasonNoTerminal, "set LOOPKEY_PASSPHRASE, or run {unlock} in a terminal", ""},
		{keystore.ReasonFileLocked, "run {unlock}", ""},
		{
			keystore.ReasonDamagedKey,
			"put {path} back from a backup, or delete it and run {login}: the sessions beside it can't be opened without it", "",
		},
		{keystore.ReasonNoRest, "set LOOPKEY_PASSPHRASE, so that nobody is asked", ""},
		{reasonPassphrasesDiffer, "try again", ""},
		{keystore.ReasonWrongPassphrase, "try again; if it is forgotten, delete the file and run {login}", ""},
		{keystore.ReasonNoFolder, "make it a directory of your own", ""},
		{keystore.ReasonFolderReadOnly, "make {path} writable", ""},
		{keystore.ReasonUnreadable, "make it readable", ""},
		{keystore.ReasonUnwritable, "free some space, or make it writable", ""},
		{keystore.ReasonUndeletable, "remove it by hand", ""},
		{keystore.ReasonExposedFolder, "make sure that it is yours, then run chmod 0700 {path}", ""},
		{keystore.ReasonExposedFile, "make sure that it is yours, then run chmod 0600 {path}", ""},
		{keystore.ReasonLink, "remove the link", ""},
		{keystore.ReasonInTheWay, "move it away", ""},
		{keystore.ReasonTooLarge, "ask for fewer claims and scopes", ""},
		{sharedstore.ReasonGone, "start loopkey demo again", ""},
		{agent.ReasonGone, "start {agent} there, or unset LOOPKEY_AGENT", ""},
		{agent.ReasonForeign, "set LOOPKEY_AGENT to a socket of your own user, in a container with the same user ID", ""},
		{agent.ReasonSilent, "end the agent there, and run {agent} anew", ""},
		{agent.ReasonSystem, "unset LOOPKEY_AGENT", ""},
		{session.ReasonNotStoredYet, "unlock it: for some seconds more loopkey tries to store the renewed session", ""},
	}
}

func loginAdvice() []advice {
	return []advice{
		{about: section("Logging in and out")},
		{
			doctor.ReasonNoRefreshToken, "try {login --prompt consent}",
			"switch on Allow Offline Access (Dashboard → Applications → APIs → your API → Settings), " +
				"and Refresh Token among the application's grant types",
		},
		{
			reasonMaybeCallback,
			"if it showed a callback URL mismatch, add {callback} to Allowed Callback URLs: {settings}", "",
		},
		{
			reasonMaybeAudiences,
			"if the provider showed an error, it may not grant several audiences at once: run {one audience}", "",
		},
		{
			reasonUnlistedScope,
			"if it showed an error, try --scope without {scopes}: the provider's scopes_supported lacks that", "",
		},
		{reasonMaybeLogoutURL, "is {base} among the allowed logout URLs?", ""},
		{reasonScopeLeftOut, `--scope "openid offline_access" asks for it all the same`, ""},
		{
			reasonNoOffline, "some providers give one for a parameter of their own: Google for " +
				"{login --prompt consent} --param access_type=offline", "",
		},
		{login.TLSHello, "in the browser's address bar put {plain} in place of {tls}", ""},
		{login.OtherUser, "open the URL in a browser of your own user", ""},
		{login.OtherLogout, "run {logout} again", ""},
		{login.OtherLogin, "finish the login in the tab that was opened last", ""},
		{(*session.AudienceError)(nil), "run {login for the audience}", ""},
		{(*session.StepUpError)(nil), "in a terminal, {step-up} opens the browser for it", ""},
		{session.ErrAnotherUser, "choose the same account in the browser; {logout} ends the session of the other", ""},
		{
			(*session.ScopeError)(nil),
			"log in with that scope, or run {token} --force-refresh if the provider grants it now", "",
		},
	}
}

func serverAdvice() []advice {
	const otherPort = "register another callback URL, such as {next callback}, and give --port {next port}"
	return []advice{
		{about: section("The local server")},
		{
			(*loopback.PortTakenError)(nil),
			"end it, or " + otherPort, "",
		},
		{
			(*loopback.PortsTakenError)(nil),
			"end one of them, or register a further callback URL and name its port too, in --port or callback_ports", "",
		},
		{
			reasonPortReserved, "`netsh interface ipv4 show excludedportrange protocol=tcp` lists what it keeps: " +
				otherPort, "",
		},
		{
			reasonPortDenied, "low ports are for administrators: " + otherPort, "",
		},
		{
			(*loopback.WindowError)(nil), "leave --browser-profile and --private out, or run {login --no-browser} and open " +
				"the URL in that window yourself", "",
		},
		{login.ErrForbidden, "run {logout} first, or {login}", ""},
		{handoff.ErrOtherSession, "end it, or " + otherPort, ""},
		{handoff.ErrSilent, "end it, and run {serve again} anew", ""},
		{handoff.ErrOtherVersion, "end it, and run {serve again} anew", ""},
		{(*handoff.SetupError)(nil), "end it, or " + otherPort, ""},
		{handoff.ErrOtherLogin, "finish that login, or end it, and run this again", ""},
		{handoff.ErrLoginWaits, "finish that login, or end it, and run this again", ""},
		{(*otherServeError)(nil), "end it and run this again, or " + otherPort, ""},
		{webui.ErrUnknownBrowser, "logged in already, in a terminal? `{serve}` opens this page for you", ""},
		{webui.ErrLinkUsed, "run {serve} again in a terminal for a new one, or log in here", ""},
		{upstream.ErrRemote, "--allow-remote-upstream allows that", ""},
		{upstream.ErrForeign, "--allow-remote-upstream allows that", ""},
		{upstream.ErrCertificate, "if you trust it, " + trustIt(), ""},
		{upstream.ErrUnencrypted, "use https", ""},
		{upstream.ErrOwnServer, "give the address of the app", ""},
		{upstream.ErrURL, "write it as http://localhost:5173", ""},
		{upstream.ErrQuery, "give the URL without", ""},
		{upstream.ErrNoToken, "reload in a while", ""},
		{upstream.ErrDown, "start it, or give {serve} --upstream its right address", ""},
	}
}

func doctorAdvice() []advice {
	return []advice{
		{about: section("What loopkey doctor finds")},
		{doctor.ReasonConfiguration, "correct it there, or leave it out", ""},
		{doctor.ReasonIncomplete, "{incomplete}", ""},
		{doctor.ReasonDotEnv, "correct it, or leave it out; what loopkey passes over there it also does without", ""},
		{doctor.ReasonUnknownName, "check --issuer (or --domain), and that this computer is in the right network (VPN)", ""},
		{doctor.ReasonNoResolver, "check the network connection, then run {doctor} again", ""},
		{
			doctor.ReasonIntercepted, "ask whoever runs the network, or the virus scanner, to leave {issuer host} alone", "",
		},
		{doctor.ReasonExpiring, "whoever runs the provider has to renew it", ""},
		{
			doctor.ReasonNoBrowser,
			"run {login --device}, or {login --no-browser} and open the URL yourself", "",
		},
		{
			doctor.ReasonNoAudience, "if tokens are for an API, run {login} --audience API-IDENTIFIER", "",
		},
		{doctor.ReasonNoOffline, `add it to the scope: run {login for offline_access}`, ""},
		{doctor.ReasonClock, "set this computer's clock, or let the system set it (network time)", ""},
		{doctor.ReasonPlainPKCE, "switch on PKCE with S256 at the provider", ""},
		{
			doctor.ReasonUnknownClient, "check --client-id, and that it is of an application at {configured issuer}", "",
		},
		{
			doctor.ReasonLoginPage,
			"check --client-id, and that {callback} is among the application's callback URLs ({settings})", "",
		},
		{doctor.ReasonAnyCode, "do not log in there: check --issuer, and tell whoever runs the provider", ""},
		{
			doctor.ReasonNeedlessSecret, "leave the client secret out, or make the application a confidential client " +
				"({settings})", "",
		},
		{
			doctor.ReasonEndSessionHidden,
			"switch on RP-Initiated Logout End Session Endpoint Discovery (Dashboard → Settings → Advanced)", "",
		},
	}
}

func toolAdvice() []advice {
	return []advice{
		{about: section("Tools, agents and MCP servers")},
		{(*credential.UnlistedError)(nil), "if tokens may go there, list it in {config file}:{entry}", ""},
		{credential.ErrUnlisted, "see [[{profile table}.hosts]] in {config file}, which says who may get tokens", ""},
		{
			session.ErrBound, "run {token} --dpop-proof METHOD URL for the header fields of one request, or " +
				"{loopkey proxy} --to URL, which makes the proofs", "",
		},
		{errNotBound, "leave --dpop-proof out; {login --dpop} binds the next session", ""},
		{mcp.ErrLoginNeeded, "run {login}", ""},
		{mcp.ErrTokenRefused, "whoever runs the server can say why; {logout} ends the session", ""},
		{mcp.ErrAuthenticationRefused, "whoever runs the server can say which login it takes", ""},
		{mcp.ErrScopeRefused, "ask for it with {login} --scope, or ask whoever runs the server", ""},
		{mcp.ErrMetadata, "whoever runs the server has to correct that; no token was sent", ""},
		{mcp.ErrNoReply, "try again when it can be reached", ""},
		{mcp.ErrNoClient, "register a public client (native app) there with the redirect URI {callback}, and give its " +
			"--client-id", ""},
		{mcp.ErrURL, "such as https://mcp.example.com/mcp", ""},
		{mcp.ErrHeader, "leave that --header out: loopkey sets the token and the transport's own fields", ""},
		{mcp.ErrBusy, "try again when it is done", ""},
		{agent.ErrNotAllowed, "{agent} --allow AUDIENCE, or --allow-id-token, allows it", ""},
		{agent.ErrOtherProfile, "name that one, or an agent for this one in LOOPKEY_AGENT", ""},
		{errProxyPort, "choose another port, or leave --listen out", ""},
		{localhost.ErrSocketAnswered, "end that one, or choose another --socket", ""},
		{localhost.ErrNoSocket, "choose another --socket", ""},
		{localhost.ErrSocketTooLong, "choose a shorter --socket", ""},
		{localhost.ErrSocketUsers, "loopkey agent and --socket are not for this system yet", ""},
		{localhost.ErrSocketPlace, "choose a --socket in a folder of your own", ""},
		{credential.ErrStores, "run {login}", ""},
		{credential.ErrMayNotEnd, "run {logout}", ""},
		{credential.ErrLate, "run {token}, which waits for longer, then let the tool ask again", ""},
		{
			sts.ErrRefused, "look at the role's trust policy, and whether IAM has an OIDC provider for {configured issuer} " +
				"with the audience {client}", "",
		},
		{sts.ErrPartition, "say it with --sts-endpoint", ""},
		{sts.ErrUnavailable, "try again later", ""},
		{ci.ErrNoPermission, "give the job permissions: id-token: write", ""},
		{ci.ErrNoVariable, "give the job id_tokens: LOOPKEY_CI_TOKEN: aud: {configured issuer}", ""},
		{ci.ErrOtherAudience, "have the CI issue one for that audience, or say with --ci-audience which one it has", ""},
		{ci.ErrUntrusted, "it went no further; whoever runs the CI has to correct that", ""},
		{ci.ErrRefused, "look whether the job may have an ID token", ""},
		{ci.ErrUnavailable, "run the job again", ""},
		{provider.ErrUnboundGrant, "{another profile}", ""},
		{provider.ErrNoVault, "give --domain, if the provider is Auth0 under a domain of your own", ""},
		{errLessScope, "ask for fewer scopes with --scope, or let the provider allow them to this client", ""},
		{errNoBearer, "leave -o header out, or ask for another type with --requested-token-type", ""},
	}
}

func configurationAdvice() []advice {
	return []advice{
		{about: section("The configuration")},
		{config.ReasonNoIssuer, "{incomplete}", ""},
		{config.ReasonNoClientID, "{incomplete}", ""},
		{config.ReasonNoPlace, "set " + private.HomeVariable(), ""},
		{config.ReasonNoFile, "LOOPKEY_CONFIG names it: unset that, or make the file", ""},
		{config.ReasonForeignFile, "make a copy of your own, look through it, and run chmod 600 on that", ""},
		{config.ReasonWritableFile, "look through it, then run chmod 600 {path}", ""},
		{config.ReasonReadableFile, "run chmod 600 {path}", ""},
		{config.ReasonOwnParameter, "use --{setting}", ""},
		{config.ReasonNoParameter, "leave it out", ""},
		{config.ReasonGivenTwice, "give one", ""},
		{clientkey.ReasonUnreadable, "{key origin} names it: correct that, or make it readable", ""},
		{clientkey.ReasonExposed, "if it is yours, " + closeToOthers("{key path}"), ""},
		{
			clientkey.ReasonEncrypted,
			"write it without a passphrase: openssl pkey -in {key path} -out OTHER, then chmod 600", "",
		},
		{clientkey.ReasonPublic, "name the file of the private key", ""},
		{clientkey.ReasonNoKey, "write one key into it, as openssl genpkey does, or use {keys make}", ""},
		{clientkey.ReasonKeyless, "name the file of its key with --client-certificate-key", ""},
		{clientkey.ReasonMismatch, "name the key that the certificate was made for", ""},
		{clientkey.ReasonNotMade, "run {keys make}, and register what it prints{without key}", ""},
		{config.ReasonUnclaimed, "set the issuer and the client ID in the environment too", ""},
	}
}

func generalAdvice() []advice {
	return []advice{
		{about: section("The session, and whatever has no reason above")},
		{session.ErrNotLoggedIn, "{not logged in}", ""},
		{session.ErrCannotRenew, "run {login}", ""},
		{keystore.ErrUnavailable, "unlock the keychain, " + orFile, ""},
		{keystore.ErrCorrupt, "run {login} for a new session, or {logout} to delete this one", ""},
		{provider.ErrUntrusted, "check --issuer and --client-id; nothing was stored", ""},
		{provider.ErrUnreachable, "{unreachable}", ""},
		{provider.ErrNoEndpoint, "run {login by the browser}, which needs a browser", ""},
		{loopback.ErrTimeout, "run {login} again; --timeout gives more time", ""},
		{errDeviceTimeout, "run {login --device} again; --timeout gives more time", ""},
		{errRevokedTogether, "run {login --device} again", ""},
		{login.ErrRevokedTogether, "run {login} again", ""},
		{session.ErrLocked, "try again when it is done", ""},
		{session.ErrUnfinished, "run it again", ""},
		{session.ErrStale, "is this clock right?", ""},
		{session.ErrClockBefore, "set the clock, or run {login}", ""},
		{session.ErrAnotherFactor, "run {token} in a terminal, which opens the browser for it", ""},
		{session.ErrTooFewFiles, "raise the limit (ulimit -n), and try again{kept}", ""},
		{session.ErrNoLocks, "choose a folder on another file system: set " + private.StateVariable(), ""},
		{session.ErrLockInTheWay, "move it away", ""},
		{setup.ErrNotWritten, "free some space, or make the file and its folder writable", ""},
		{session.ErrLockFolder, "make it a folder that can be written", ""},
		{private.ErrHomeOfAnother, "run loopkey as that user, without sudo, or set HOME (sudo -H)", ""},
		{private.ErrLinkOfAnother, "remove it, or set " + private.StateVariable() + " to a short path", ""},
		{private.ErrFolderOfAnother, "run loopkey as that user, or move the folder away", ""},
		{private.ErrWritableByOthers, "look that nothing strange is in it, then run chmod 700 {path}", ""},
		{
			session.ErrReplyLost,
			"A provider that replaces refresh tokens may take that for theft and end the session: then run {login}.", "",
		},
		{session.ErrNotKept, "until it can be, each call asks the provider", ""},
		{session.ErrNotNoted, "name the issuer in every command: {named}", ""},
	}
}

const orFile = "or run {login with a file}"

// onMac returns what is so on macOS, and otherwise elsewhere.
func onMac(mac, elsewhere string) string {
	if runtime.GOOS == "darwin" {
		return mac
	}
	return elsewhere
}

// trustIt says how an authority becomes one that Go trusts here: on macOS and Windows the system alone says which are.
func trustIt() string {
	switch runtime.GOOS {
	case "darwin":
		return "add its certificate to your keychain as a trusted one (Keychain Access)"
	case "windows":
		return "add its certificate to your Trusted Root Certification Authorities (certmgr.msc)"
	}
	return "name its certificate file in SSL_CERT_FILE"
}

// closeToOthers returns how a file becomes one that nobody else can read.
func closeToOthers(path string) string {
	if runtime.GOOS == "windows" {
		return "run icacls " + path + " /inheritance:r /grant:r %USERNAME%:F"
	}
	return "run chmod 600 " + path
}

// A situation is what advice depends on besides the error. Its config says where each value came from.
type situation struct {
	config  *config.Config    // nil: the command failed before the configuration was known
	auth0   bool              // the provider is an Auth0 tenant, by the configuration or by its host
	command string            // that failed; "": it was none of ours
	flags   map[string]string // of the configuration that it was given
	params  []string          // further arguments of a login, to be given again
	serving []string          // further arguments of a serve, likewise
	stepUp  string            // the line that gets the token of a step-up; "": none is needed
	server  string            // the URL of the MCP server that the command is about; "": it is about none

	session  bool           // there is a session of the configured client
	others   []known.Client // the same profile's other clients that are logged in
	profiles []string       // in config.toml
}

// advice returns what a person can do about an error by what the error itself knows, or "". For what is so of all
// errors of a kind, see judge.
func (at situation) advice(err error) string {
	if errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE) { // whatever could not be opened for it
		return at.sentence(session.ErrTooFewFiles)
	}
	if e := new(session.AudienceError); errors.As(err, &e) {
		return at.fill((*session.AudienceError)(nil), provider.Diagnosis{Audience: e.Audience}, "")
	}
	if e := new(session.StepUpError); errors.As(err, &e) {
		at.stepUp = at.stepUpLine(e)
		return at.sentence((*session.StepUpError)(nil))
	}
	if e := new(mcp.NoClientError); errors.As(err, &e) {
		return at.fill(mcp.ErrNoClient, provider.Diagnosis{Issuer: e.Issuer}, "")
	}
	if e := new(keystore.UnavailableError); errors.As(err, &e) {
		return at.fill(e.Reason, provider.Diagnosis{}, e.Path)
	}
	if e := new(clientkey.Error); errors.As(err, &e) && e.Path != "" {
		return at.fill(e.Reason, provider.Diagnosis{}, e.Path)
	}
	if e := new(config.ReasonedError); errors.As(err, &e) {
		return at.fill(e.Reason, provider.Diagnosis{}, e.About)
	}
	if e := new(private.FolderError); errors.As(err, &e) {
		return at.fill(e.Reason, provider.Diagnosis{}, e.Path)
	}
	if e := new(localhost.PortDeniedError); errors.As(err, &e) {
		if e.Reserved {
			return at.sentence(reasonPortReserved)
		}
		return at.sentence(reasonPortDenied)
	}
	if e := new(credential.UnlistedError); errors.As(err, &e) {
		return at.fill((*credential.UnlistedError)(nil), provider.Diagnosis{}, e.Server.Entry())
	}
	switch {
	case errors.As(err, new(*session.ScopeError)):
		return at.sentence((*session.ScopeError)(nil))
	case errors.As(err, new(*loopback.WindowError)):
		return at.sentence((*loopback.WindowError)(nil))
	case errors.As(err, new(*loopback.PortsTakenError)):
		return at.sentence((*loopback.PortsTakenError)(nil))
	case errors.As(err, new(*loopback.PortTakenError)):
		return at.sentence((*loopback.PortTakenError)(nil))
	case errors.As(err, new(*handoff.SetupError)):
		return at.sentence((*handoff.SetupError)(nil))
	case errors.As(err, new(*otherServeError)):
		return at.sentence((*otherServeError)(nil))
	}
	for _, row := range advices() {
		if sentinel, ok := row.about.(error); ok && !isKind(sentinel) && errors.Is(err, sentinel) {
			return at.sentence(sentinel)
		}
	}
	d := provider.Diagnose(err)
	return at.fill(d.Reason, d, "")
}

// sentence returns the sentence about a reason or a kind of error, or "".
func (at situation) sentence(about any) string { return at.fill(about, provider.Diagnosis{}, "") }

// fill returns the sentence about a reason or a kind of error, with the parts of the error and of the situation. The
// subject is the path or the setting that the error is about.
func (at situation) fill(about any, d provider.Diagnosis, subject string) string {
	parts := func(text string) string {
		if !strings.Contains(text, "{") {
			return text
		}
		return strings.NewReplacer(
			"{settings}", at.settings(), "{callback}", at.callback(), "{issuer}", words.Printable(d.Issuer),
			"{client}", at.client(), "{configured issuer}", at.issuer(),
			"{config file}", at.configFile(), "{profile table}", config.TableOf(at.profile()),
			"{base}", at.baseURL(), "{plain}", at.plain(), "{tls}", at.tls(),
			"{audience}", words.Printable(d.Audience), "{proxy}", words.Printable(d.Proxy),
			"{skew}", words.Short(d.Skew.Abs()), "{path}", words.Printable(subject), "{setting}", words.Printable(subject),
			"{login --device}", at.login("--device"), "{login --no-browser}", at.login("--no-browser"),
			"{login --dpop}", at.login("--dpop"), "{login --prompt consent}", at.login("--prompt consent"),
			"{login --prompt login}", at.login("--prompt login"),
			"{login by the browser}", at.byBrowser(), "{unlock}", at.line("unlock"),
			"{keys make}", at.line("keys make"), "{keys show}", at.line("keys show"),
			"{login for the client}", at.line("login", "scope", "openid offline_access "+at.client()),
			"{login for offline_access}", at.line("login", "scope", provider.DefaultScope),
			"{login}", at.line("login"), "{logout}", at.line("logout"),
			"{token}", at.line("token"), "{doctor}", at.line("doctor"), "{issuer host}", at.issuerHost(),
			"{one audience}", at.oneAudience(), "{step-up}", cmp.Or(at.stepUp, at.line("token")+" --acr ACR"),
			"{login for the audience}", at.line("login", "audience", d.Audience),
			"{login with a file}", at.line("login", "keystore", "file"), "{named}", at.named(),
			"{proof}", proofOf(d.Methods), "{the secret}", at.theSecret(d.Methods),
			"{entry}", at.entry(subject), "{key path}", at.keyPath(subject), "{without key}", at.withoutKey(),
			"{key origin}", at.keyOrigin(subject), "{next port}", at.nextPort(), "{next callback}", at.nextCallback(),
			"{serve}", at.line("serve"), "{serve again}", at.serveAgain(),
			"{loopkey proxy}", at.line("proxy"), "{agent}", at.line("agent"),
			"{another profile}", at.anotherProfile(),
			"{kept}", at.kept(), "{not logged in}", at.notLoggedIn(), "{unreachable}", at.unreachable(),
			"{incomplete}", at.incomplete(),
		).Replace(text)
	}
	for _, row := range advices() {
		if row.about != about {
			continue
		}
		if at.auth0 && row.auth0 != "" {
			return parts(row.auth0)
		}
		return parts(row.text)
	}
	return ""
}

// settings says where at the provider an application's settings are.
func (at situation) settings() string {
	if at.auth0 {
		return "Dashboard → Applications → your app → Settings"
	}
	return "the application's settings at the provider"
}

// configured returns a value of the configuration made printable, or a word for it where none is known.
func (at situation) configured(word string, value func(*config.Config) string) string {
	if at.config == nil {
		return word
	}
	return words.Printable(value(at.config))
}

// configFile returns the path of config.toml.
func (at situation) configFile() string {
	return at.configured("config.toml", func(c *config.Config) string { return c.File })
}

// profile returns the name of the profile.
func (at situation) profile() string {
	return at.configured("NAME", func(c *config.Config) string { return c.Profile })
}

// issuer returns the configured issuer.
func (at situation) issuer() string {
	return at.configured("the issuer", func(c *config.Config) string { return c.Issuer })
}

// issuerHost returns the host of the configured issuer.
func (at situation) issuerHost() string {
	u, err := url.Parse(at.issuer())
	if err != nil || u.Host == "" {
		return "the provider"
	}
	return words.Printable(u.Host)
}

// client returns the client ID.
func (at situation) client() string {
	return at.configured("CLIENT-ID", func(c *config.Config) string { return c.ClientID })
}

// baseURL returns the base URL of the local server as it is configured.
func (at situation) baseURL() string {
	return at.configured("the base URL", func(c *config.Config) string { return c.BaseURL })
}

// base returns the base URL of the local server.
func (at situation) base() *url.URL {
	raw := ""
	if at.config != nil {
		raw = at.config.BaseURL
	}
	base, err := localurl.ParseBase(raw)
	if err != nil {
		return &url.URL{}
	}
	return base
}

// tls returns the base URL as a browser has it that changes http to https.
func (at situation) tls() string { return "https://" + at.base().Host }

// plain returns the base URL in a form that no browser changes to https: its rules for that are about names, not about
// addresses (RFC 6797, section 8.3).
func (at situation) plain() string {
	return "http://" + net.JoinHostPort("127.0.0.1", strconv.Itoa(localurl.Port(at.base())))
}

// callback returns the URL to register with the provider.
func (at situation) callback() string {
	if at.config == nil {
		return ""
	}
	return localurl.At(at.config.BaseURL, login.CallbackPath)
}
