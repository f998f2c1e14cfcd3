package faults

import (
	"testing"

	"github.com/loopkey/loopkey/internal/test/house"
)

func TestMain(m *testing.M) { house.Main(m) }
