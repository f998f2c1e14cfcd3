package session

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/loopkey/loopkey/keystore"
)

// readFor reads no more of the session than r needs.
func (s *Session) readFor(ctx context.Context, r Request) (*state, error) {
	record, err := s.cfg.Store.Head(ctx, s.name)
	if err != nil {
		return nil, s.explain(err)
	}
	st, err := s.decode(record)
	if err != nil || st.whole {
		return st, err
	}
	if t := st.find(r); t != nil && t.good(s.cfg.Now(), r.MinLifetime, false) {
		return st, nil
	}
	return s.load(ctx)
}

func (s *Session) load(ctx context.Context) (*state, error) {
	record, err := s.cfg.Store.Load(ctx, s.name)
	if err != nil {
		return nil, s.explain(err)
	}
	return s.decode(record)
}

// explain says in the words of this package what the keystore reported.
func (s *Session) explain(err error) error {
	if errors.Is(err, keystore.ErrNotFound) {
		err = ErrNotLoggedIn
	}
	return s.named(err)
}

func (s *Session) decode(record keystore.Record) (*state, error) {
	st, err := decodeRecord(record)
	if err != nil {
		return nil, s.explain(err)
	}
	// The record's name already says so, but a keychain that returns another session must not be believed.
	if st.Issuer != s.cfg.Provider.Issuer() || st.ClientID != s.cfg.Provider.ClientID() || st.Resource != s.cfg.Resource {
		return nil, s.explain(fmt.Errorf("%w: it belongs to another issuer, client or resource", keystore.ErrCorrupt))
	}
	if err := s.restoreProver(st); err != nil {
		return nil, s.explain(fmt.Errorf("%w: %w", keystore.ErrCorrupt, err))
	}
	return st, nil
}

// decodeRecord decodes a record. Its errors never quote what it could not read, which may be a token.
func decodeRecord(record keystore.Record) (*state, error) {
	var version struct {
		Version int `json:"v"`
	}
	if json.Unmarshal(record.Head, &version) != nil {
		return nil, fmt.Errorf("%w: it is not a loopkey session", keystore.ErrCorrupt)
	}
	if version.Version != stateVersion && version.Version != boundVersion {
		return nil, fmt.Errorf("%w: it was written by another version of loopkey (format %d, this one reads %d)",
			keystore.ErrCorrupt, version.Version, boundVersion)
	}
	st := &state{whole: record.Body != nil, read: record}
	if json.Unmarshal(record.Head, &st.head) != nil || st.Current.Token == "" || st.Issuer == "" || st.ClientID == "" {
		return nil, fmt.Errorf("%w: its head is damaged", keystore.ErrCorrupt)
	}
	if st.whole {
		decoder := json.NewDecoder(bytes.NewReader(record.Body))
		decoder.UseNumber() // claims keep their numbers as the provider wrote them
		if decoder.Decode(&st.body) != nil || (st.Subject == "") != (st.Resource != "") {
			return nil, fmt.Errorf("%w: its body is damaged", keystore.ErrCorrupt)
		}
	}
	return st, nil
}

// save stores the whole state, and lets other processes notice. The caller holds the lock.
func (s *Session) save(ctx context.Context, st *state) error {
	record, err := st.encode()
	if err != nil {
		return err
	}
	if err := s.cfg.Store.Save(ctx, s.name, record); err != nil {
		return s.explain(err)
	}
	s.lock.touch()
	s.lock.noteExpiry(st)
	s.noteAbout(st)
	return nil
}

// encode returns the session as it is stored, with the members that only a newer version knows.
func (st *state) encode() (keystore.Record, error) {
	st.recallTokens()
	h, err := json.Marshal(st.head)
	if err != nil {
		return keystore.Record{}, fmt.Errorf("encoding the session: %w", err)
	}
	b, err := json.Marshal(st.body) //nolint:gosec // the keystore is where secrets belong
	if err != nil {
		return keystore.Record{}, fmt.Errorf("encoding the session: %w", err)
	}
	return keystore.Record{
		Head: withMembers(h, unknown(st.read.Head, head{})), Body: withMembers(b, unknown(st.read.Body, body{})),
	}, nil
}

// update changes the stored session under the lock.
func (s *Session) update(ctx context.Context, change func(*state)) error {
	lock, err := s.lock.acquire(ctx)
	if err != nil {
		return err
	}
	defer lock.release()
	st, err := s.load(ctx)
	if err != nil {
		return err
	}
	change(st)
	return s.save(ctx, st)
}
