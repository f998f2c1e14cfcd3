package hostile

import (
	"testing"

	"github.com/loopkey/loopkey/internal/house"
)

func TestMain(m *testing.M) { house.Main(m) }
