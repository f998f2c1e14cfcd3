package panva

// The clients of Options.ClientKeys.
const (
	Keyed        = "keyed"         // private_key_jwt
	KeyedSigned  = "keyed-signed"  // likewise, and its authorization requests have to be signed
	PublicSigned = "public-signed" // none, and its requests have to be signed
	Certified    = "certified"     // self_signed_tls_client_auth, with tokens that are bound to the certificate
)
