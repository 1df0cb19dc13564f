package main

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/livekit/protocol/livekit"
)

var errQuit = errors.New("quit")

// command carries out one line and returns the fields of its answer.
func (s *session) command(line string) (map[string]any, error) {
	words := strings.Fields(line)
	if len(words) == 0 {
		return nil, errors.New("an empty command")
	}
	s.lock.Lock()
	defer s.lock.Unlock()
	arg := func(i int) string {
		if i < len(words) {
			return words[i]
		}
		return ""
	}
	switch words[0] {
	case "quit":
		s.leaveLocked()
		return nil, errQuit
	case "stats":
		return map[string]any{
			"stats": s.stats, "clock_monotonic_ns": s.clock.monotonic, "elapsed_ns": time.Since(s.clock.start).Nanoseconds(),
		}, nil
	case "return":
		if err := s.joinLocked(); err != nil {
			return nil, err
		}
		return s.describeLocked(), nil
	case "leave":
		s.leaveLocked()
		s.away = true
		return nil, nil
	case "status":
		return s.describeLocked(), nil
	}
	if s.room == nil {
		return nil, errors.New("not in the room")
	}

	switch words[0] {
	case "publish":
		return s.commandPublish(arg(1), arg(2), words[min(3, len(words)):])
	case "unpublish":
		return nil, s.unpublishLocked(arg(1))
	case "permission":
		permission := &livekit.SubscriptionPermission{AllParticipants: arg(1) == "allow"}
		if arg(1) != "allow" && arg(1) != "restrict" {
			return nil, errors.New("permission allow, or permission restrict")
		}
		s.room.LocalParticipant.SetSubscriptionPermission(permission)
		return nil, nil
	}

	t := s.tracks[arg(1)]
	if words[0] == "switch" && arg(2) == "" {
		t = s.tracks["video"]
	}
	if t == nil {
		return nil, fmt.Errorf("no track %q, or no such command: %s", arg(1), line)
	}
	switch words[0] {
	case "mute":
		t.pub.Load().SetMuted(true)
		return nil, nil
	case "unmute":
		t.unmute(s.clock)
		return nil, nil
	case "switch": // switch [TRACK] CLIP
		names := strings.Split(words[len(words)-1], ",")
		clips, err := loadClips(s.dir, names)
		if err != nil {
			return nil, err
		}
		if err := t.change(clips); err != nil {
			return nil, err
		}
		t.options.clips = names
		s.wanted[t.name] = t.options
		return nil, nil
	}
	return nil, fmt.Errorf("unknown command %q", words[0])
}

// publish TRACK CLIP[,CLIP,CLIP] [encrypted] [dtx]
func (s *session) commandPublish(name, clips string, flags []string) (map[string]any, error) {
	source := defaultSource(name)
	if source == livekit.TrackSource_UNKNOWN || clips == "" {
		return nil, errors.New("publish video|audio|screen CLIP[,CLIP,CLIP] [encrypted] [dtx]")
	}
	if s.tracks[name] != nil {
		return nil, fmt.Errorf("%s is published already", name)
	}
	options := trackOptions{clips: strings.Split(clips, ","), source: source}
	for _, flag := range flags {
		switch flag {
		case "encrypted":
			options.encrypted = true
		case "dtx":
			options.dtx = true
		default:
			return nil, fmt.Errorf("unknown option %q", flag)
		}
	}
	s.wanted[name] = options
	if err := s.publishLocked(name); err != nil {
		delete(s.wanted, name)
		return nil, err
	}
	return s.describeLocked(), nil
}
