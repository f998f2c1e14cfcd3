module example.com/program

go 1.25.0

require (
	github.com/loopkey/loopkey v0.0.0
	golang.org/x/oauth2 v0.36.0
)

replace github.com/loopkey/loopkey => ../..
