package upstream

import (
	"sync"
	"time"
)

// FlushInterval is how long a part of a response may wait for more that is sent with it, where the response has a
// length. ReverseProxy passes on each event of a stream, and each part of a response without a length, as it comes.
const FlushInterval = 10 * time.Millisecond

// Buffers lends the memory through which the bodies of responses are copied. It is an httputil.BufferPool; without one
// each response costs 32 kB of new memory.
type Buffers struct{ pool sync.Pool }

// A buffer is lent by its pointer, so that its return costs no memory.
type buffer [32 << 10]byte

// Get implements httputil.BufferPool.
func (b *Buffers) Get() []byte {
	if lent, ok := b.pool.Get().(*buffer); ok {
		return lent[:]
	}
	return new(buffer)[:]
}

// Put implements httputil.BufferPool.
func (b *Buffers) Put(back []byte) { b.pool.Put((*buffer)(back)) }
