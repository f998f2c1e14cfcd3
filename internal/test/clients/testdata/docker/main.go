// Command docker is what docker, podman and crane do with a registry, for the tests of the credential helper: it finds
// its credentials by docker's own client code, in the config.json that DOCKER_CONFIG names.
//
//	docker serve                 a registry on a free port of 127.0.0.1, which it prints
//	docker push REF | pull REF   pushes or pulls an image
package main

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) == 1 && args[0] == "serve" {
		return serve()
	}
	if len(args) != 2 {
		return errors.New("usage: docker serve | push REF | pull REF")
	}
	ref, err := name.ParseReference(args[1])
	if err != nil {
		return err
	}
	keychain := remote.WithAuthFromKeychain(authn.DefaultKeychain)
	if args[0] == "push" {
		return remote.Write(ref, empty.Image, keychain)
	}
	image, err := remote.Image(ref, keychain)
	if err != nil {
		return err
	}
	digest, err := image.Digest()
	fmt.Println(digest)
	return err
}

func serve() error {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println(listener.Addr())
	return http.Serve(listener, registry.New())
}
