package keystore

import (
	"context"
	"sync"
)

// Memory returns a store that keeps records until the process ends.
func Memory() Store { return &memory{records: map[string]Record{}} }

type memory struct {
	mu      sync.RWMutex
	records map[string]Record
}

func (m *memory) Head(ctx context.Context, name string) (Record, error) { return m.Load(ctx, name) }

func (m *memory) Load(ctx context.Context, name string) (Record, error) {
	if err := check(ctx, name); err != nil {
		return Record{}, err
	}
	m.mu.RLock()
	defer m.mu.RUnlock()
	r, ok := m.records[name]
	if !ok {
		return Record{}, ErrNotFound
	}
	return r.clone(), nil
}

func (m *memory) Save(ctx context.Context, name string, r Record) error {
	if err := check(ctx, name); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.records[name] = r.clone()
	return nil
}

func (m *memory) Delete(ctx context.Context, name string) error {
	if err := check(ctx, name); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.records, name)
	return nil
}
