package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/livekit/protocol/livekit"
	lksdk "github.com/livekit/server-sdk-go/v2"
	"github.com/pion/webrtc/v4"
)

// A session is the publisher's stay in a room, with what it publishes there whenever it is in it.
type session struct {
	url   string
	info  lksdk.ConnectInfo
	dir   string // of clips
	log   *os.File
	ppm   float64 // by which our clock is faster than the machine's
	event func(name string, fields map[string]any)

	lock   sync.Mutex
	away   bool // by command, or thrown out: do not come back by itself
	room   *lksdk.Room
	clock  *clock
	wanted map[string]trackOptions // what is published, also across a return
	tracks map[string]*track
	stats  map[string]*trackStats
}

// trackNames in the order in which they are published.
var trackNames = []string{"video", "audio", "screen"}

func defaultSource(name string) livekit.TrackSource {
	return map[string]livekit.TrackSource{
		"video": livekit.TrackSource_CAMERA, "audio": livekit.TrackSource_MICROPHONE, "screen": livekit.TrackSource_SCREEN_SHARE,
	}[name]
}

func (s *session) join() error {
	s.lock.Lock()
	defer s.lock.Unlock()
	return s.joinLocked()
}

func (s *session) joinLocked() error {
	if s.room != nil {
		return errors.New("already in the room")
	}
	var room *lksdk.Room
	callback := lksdk.NewRoomCallback()
	callback.OnReconnecting = func() { s.event("reconnecting", nil) }
	callback.OnReconnected = func() { s.event("reconnected", nil) }
	callback.OnDisconnectedWithReason = func(reason lksdk.DisconnectionReason) { go s.lost(room, reason) }
	callback.OnLocalTrackPublished = func(pub *lksdk.LocalTrackPublication, _ *lksdk.LocalParticipant) {
		go s.republished(pub)
	}
	room = lksdk.NewRoom(callback)
	if err := room.Join(s.url, s.info, lksdk.WithAutoSubscribe(false)); err != nil {
		return err
	}
	s.room, s.away, s.tracks = room, false, map[string]*track{}
	err := s.publishLocked(trackNames...)
	if err != nil {
		s.leaveLocked()
	}
	return err
}

// publishLocked publishes those of the names that are wanted, and lets them start together.
func (s *session) publishLocked(names ...string) error {
	room := s.room
	var fresh []*track
	for _, name := range names {
		options, ok := s.wanted[name]
		if !ok {
			continue
		}
		clips, err := loadClips(s.dir, options.clips)
		if err != nil {
			return err
		}
		if s.stats[name] == nil {
			s.stats[name] = &trackStats{}
		}
		log := s.log
		if name != "video" {
			log = nil
		}
		t, err := publishTrack(room, name, clips, options, s.stats[name], log)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		s.tracks[name] = t
		fresh = append(fresh, t)
	}
	connected := func() bool {
		pc := room.LocalParticipant.GetPublisherPeerConnection()
		return pc != nil && pc.ConnectionState() == webrtc.PeerConnectionStateConnected
	}
	deadline := time.Now().Add(15 * time.Second)
	for _, t := range fresh {
		select {
		case <-t.bound:
		case <-time.After(time.Until(deadline)):
			return fmt.Errorf("%s: not negotiated in time", t.name)
		}
	}
	for len(fresh) > 0 && !connected() { // the SDK keeps the event to itself
		if time.Now().After(deadline) {
			return errors.New("no media connection in time")
		}
		time.Sleep(5 * time.Millisecond)
	}
	if s.clock == nil {
		s.clock = newClock(s.ppm)
	}
	for _, t := range fresh {
		go t.play(s.clock, connected)
	}
	for _, t := range fresh { // the server shows a track to others from its first packet on
		select {
		case <-t.flowing:
		case <-time.After(time.Until(deadline)):
			return fmt.Errorf("%s: nothing sent in time", t.name)
		}
	}
	s.event("publishing", s.describeLocked())
	return nil
}

func (s *session) describeLocked() map[string]any {
	fields := map[string]any{"identity": s.info.ParticipantIdentity, "clock_monotonic_ns": s.clock.monotonic}
	if s.room != nil {
		fields["sid"] = s.room.LocalParticipant.SID()
		fields["room_sid"] = s.room.SID()
	}
	tracks := map[string]any{}
	for name, t := range s.tracks {
		tracks[name] = map[string]any{
			"sid": t.pub.Load().SID(), "mime": t.clips[0].mime, "clips": t.options.clips, "muted": t.pub.Load().IsMuted(),
		}
	}
	fields["tracks"] = tracks
	return fields
}

func (s *session) unpublishLocked(name string) error {
	t := s.tracks[name]
	if t == nil {
		return fmt.Errorf("%s is not published", name)
	}
	t.halt()
	delete(s.tracks, name)
	delete(s.wanted, name)
	return s.room.LocalParticipant.UnpublishTrack(t.pub.Load().SID())
}

func (s *session) leaveLocked() {
	room := s.room
	if room == nil {
		return
	}
	s.room, s.away = nil, true
	for name, t := range s.tracks {
		t.halt()
		delete(s.tracks, name)
	}
	sid := room.LocalParticipant.SID()
	room.Disconnect()
	s.ensureGone(sid)
}

// ensureGone waits for the server to know that we left. The SDK closes the socket on top of its goodbye, which the
// server now and then does not get to read; it would then miss us for 20 s. It is told again by other means.
func (s *session) ensureGone(sid string) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	client := lksdk.NewRoomServiceClient(s.url, s.info.APIKey, s.info.APISecret)
	who := &livekit.RoomParticipantIdentity{Room: s.info.RoomName, Identity: s.info.ParticipantIdentity}
	for began := time.Now(); ; time.Sleep(10 * time.Millisecond) {
		participant, err := client.GetParticipant(ctx, who)
		if err != nil || participant.Sid != sid || participant.State == livekit.ParticipantInfo_DISCONNECTED {
			return
		}
		if time.Since(began) > 500*time.Millisecond {
			client.RemoveParticipant(ctx, who)
			return
		}
	}
}

// republished takes note of the publication that the SDK makes of a track of ours when it reconnects; muted tracks stay so.
func (s *session) republished(pub *lksdk.LocalTrackPublication) {
	s.lock.Lock()
	defer s.lock.Unlock()
	for _, t := range s.tracks {
		if old := t.pub.Load(); old != pub && t.publishedBy(pub) {
			pub.SetMuted(old.IsMuted())
			t.pub.Store(pub)
		}
	}
}

// lost comes back by itself, as a streamer's application would, unless somebody wanted it gone.
func (s *session) lost(room *lksdk.Room, reason lksdk.DisconnectionReason) {
	s.lock.Lock()
	defer s.lock.Unlock()
	if s.room != room {
		return // left by command
	}
	s.event("disconnected", map[string]any{"reason": string(reason), "code": room.DisconnectReason().String()})
	s.leaveLocked()
	switch room.DisconnectReason() {
	case livekit.DisconnectReason_PARTICIPANT_REMOVED, livekit.DisconnectReason_ROOM_DELETED,
		livekit.DisconnectReason_DUPLICATE_IDENTITY, livekit.DisconnectReason_ROOM_CLOSED:
		return
	}
	s.away = false
	for !s.away {
		err := s.joinLocked()
		if err == nil {
			return
		}
		s.away = false // joinLocked leaves when it cannot publish
		s.lock.Unlock()
		time.Sleep(300 * time.Millisecond)
		s.lock.Lock()
		if s.room != nil {
			return
		}
	}
}
