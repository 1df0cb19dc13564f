package main

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/livekit/protocol/livekit"
	lksdk "github.com/livekit/server-sdk-go/v2"
	"github.com/pion/rtcp"
	"github.com/pion/webrtc/v4"
	"github.com/pion/webrtc/v4/pkg/media"
	"golang.org/x/sys/unix"
)

// A clock is what all tracks of the publisher share: sample n of any clip is due at start + n samples. Tracks that
// come later join in at the position that the clock says.
type clock struct {
	start     time.Time
	monotonic int64   // the same instant on CLOCK_MONOTONIC, in ns
	rate      float64 // seconds of it that pass in one of the machine's
}

// ppm: by how many millionths it is faster than the machine's.
func newClock(ppm float64) *clock {
	const soon = 50 * time.Millisecond
	return &clock{time.Now().Add(soon), monotonicNow() + int64(soon), 1 + ppm/1e6}
}

// elapsed since its start, by itself.
func (c *clock) elapsed() time.Duration {
	return time.Duration(float64(time.Since(c.start)) * c.rate)
}

// when it shows so much, by the machine's.
func (c *clock) when(at time.Duration) time.Time {
	return c.start.Add(time.Duration(float64(at) / c.rate))
}

func monotonicNow() int64 {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &now); err != nil {
		panic(err)
	}
	return now.Nano()
}

// Statistics of one track name, over all its publications.
type trackStats struct {
	Frames      int64 `json:"frames"`
	First       int64 `json:"first"` // counter of the first and the last sample sent
	Last        int64 `json:"last"`
	Bytes       int64 `json:"bytes"`
	PLI         int64 `json:"pli"`
	ClipSamples int   `json:"clip_samples"`
	MaxLateUs   int64 `json:"max_late_us"` // how late a sample left at worst
}

// A track is one published track: a clip, or several that are its simulcast layers, and who plays it.
type track struct {
	name     string
	options  trackOptions
	log      *os.File                                    // lines "counter monotonic_ns pts_ns", or nil
	pub      atomic.Pointer[lksdk.LocalTrackPublication] // another one after the SDK has made its connection anew
	outputs  []*lksdk.LocalTrack                         // one a layer, lowest first
	bound    chan struct{}
	bindOnce sync.Once
	flowing  chan struct{} // closed with the first sample
	flowOnce sync.Once
	needKey  atomic.Bool
	stop     chan struct{}
	stopped  chan struct{}

	lock  sync.Mutex
	clips []*clip // parallel to outputs
	next  []*clip // to change over to at the next key frame, or nil
	stats *trackStats
}

type trackOptions struct {
	clips     []string // lowest layer first
	source    livekit.TrackSource
	encrypted bool
	dtx       bool
}

func loadClips(dir string, names []string) (clips []*clip, err error) {
	for _, name := range names {
		c, err := loadClip(dir, name)
		if err != nil {
			return nil, err
		}
		if len(clips) > 0 && c.mime != clips[0].mime {
			return nil, fmt.Errorf("layers of different codecs: %s", strings.Join(names, ", "))
		}
		clips = append(clips, c)
	}
	return clips, nil
}

// publishTrack returns once the server has accepted the track; play sends it.
func publishTrack(room *lksdk.Room, name string, clips []*clip, options trackOptions, stats *trackStats, log *os.File) (*track, error) {
	t := &track{
		name: name, options: options, clips: clips, stats: stats, log: log,
		bound: make(chan struct{}), flowing: make(chan struct{}), stop: make(chan struct{}), stopped: make(chan struct{}),
	}
	simulcastID := fmt.Sprintf("%s-%d", name, time.Now().UnixNano())
	for i, c := range clips {
		var trackOptions []lksdk.LocalTrackOptions
		if len(clips) > 1 {
			layer := &livekit.VideoLayer{
				Quality: livekit.VideoQuality(i), Width: uint32(c.width), Height: uint32(c.height),
			}
			trackOptions = append(trackOptions, lksdk.WithSimulcast(simulcastID, layer))
		}
		trackOptions = append(trackOptions, lksdk.WithRTCPHandler(func(packet rtcp.Packet) {
			if _, ok := packet.(*rtcp.PictureLossIndication); ok {
				atomic.AddInt64(&t.stats.PLI, 1)
			}
		}))
		capability := webrtc.RTPCodecCapability{MimeType: c.mime, ClockRate: c.clockRate}
		if c.audio() {
			capability.Channels = 2
		}
		output, err := lksdk.NewLocalTrack(capability, trackOptions...)
		if err != nil {
			return nil, err
		}
		output.OnBind(func() {
			t.needKey.Store(true) // it is bound again when the connection is made anew
			t.bindOnce.Do(func() { close(t.bound) })
		})
		t.outputs = append(t.outputs, output)
	}
	top := clips[len(clips)-1]
	publication := &lksdk.TrackPublicationOptions{
		Name: name, Source: options.source, VideoWidth: top.width, VideoHeight: top.height, DisableDTX: !options.dtx,
	}
	if options.encrypted {
		publication.Encryption = livekit.Encryption_GCM
	}
	var pub *lksdk.LocalTrackPublication
	var err error
	if len(clips) > 1 {
		pub, err = room.LocalParticipant.PublishSimulcastTrack(t.outputs, publication)
	} else {
		pub, err = room.LocalParticipant.PublishTrack(t.outputs[0], publication)
	}
	t.pub.Store(pub)
	return t, err
}

// play sends each sample when it is due, until halt. A sample that nobody can decode (after a gap, before a key
// frame) is left out.
func (t *track) play(clock *clock, connected func() bool) {
	defer close(t.stopped)
	t.lock.Lock()
	pace := t.clips[0]
	t.lock.Unlock()
	n := int64(0)
	if late := clock.elapsed(); late > 0 {
		n = int64(late/pace.duration) + 1
	}
	t.needKey.Store(true)
	timer := time.NewTimer(0)
	<-timer.C
	for ; ; n++ {
		due := clock.when(pace.at(n))
		timer.Reset(time.Until(due))
		select {
		case <-t.stop:
			return
		case <-timer.C:
		}
		if t.pub.Load().IsMuted() || !connected() {
			t.needKey.Store(true)
			continue
		}
		t.send(n, due, clock)
	}
}

func (t *track) send(n int64, due time.Time, clock *clock) {
	t.lock.Lock()
	defer t.lock.Unlock()
	if t.next != nil && t.next[0].sample(n).key {
		t.clips, t.next = t.next, nil
		t.needKey.Store(true)
	}
	first := t.clips[0].sample(n)
	if t.needKey.Load() {
		if !first.key {
			return
		}
		t.needKey.Store(false)
	}
	top := t.clips[len(t.clips)-1]
	if t.options.dtx && top.audio() && silent(first) && n%20 != 0 {
		return // as an encoder in DTX, which speaks up every 400 ms
	}
	now := monotonicNow()
	for i, output := range t.outputs {
		c := t.clips[i]
		data := c.sample(n).data
		// The packetizer starts somewhere of its own; only the differences of PacketTimestamp count.
		err := output.WriteSample(media.Sample{
			Data: data, Duration: c.duration, PacketTimestamp: uint32(n+1) * c.step,
		}, nil)
		if err != nil {
			fmt.Fprintf(os.Stderr, "publisher: %s %d: %v\n", t.name, n, err)
		}
		t.stats.Bytes += int64(len(data))
	}
	t.flowOnce.Do(func() { close(t.flowing) })
	counter := n % int64(len(top.samples))
	if t.stats.Frames == 0 {
		t.stats.First = counter
	}
	t.stats.Frames++
	t.stats.Last = counter
	t.stats.ClipSamples = len(top.samples)
	t.stats.MaxLateUs = max(t.stats.MaxLateUs, time.Since(due).Microseconds())
	if t.log != nil {
		fmt.Fprintf(t.log, "%d %d %d\n", counter, now, top.at(n).Nanoseconds())
	}
}

// silent: Opus says digital silence in three bytes.
func silent(s sample) bool { return len(s.data) <= 3 }

func (t *track) halt() {
	close(t.stop)
	<-t.stopped
}

// unmute announces itself a little before the next key frame, so that pictures follow the announcement as fast as
// those of an encoder that makes a key frame when asked.
func (t *track) unmute(clock *clock) {
	const lead = 150 * time.Millisecond
	t.lock.Lock()
	c := t.clips[0]
	t.lock.Unlock()
	n := int64((clock.elapsed()+lead)/c.duration) + 1
	for !c.sample(n).key {
		n++
	}
	time.Sleep(time.Until(clock.when(c.at(n) - lead)))
	t.pub.Load().SetMuted(false)
}

// publishedBy tells whether a publication carries this track.
func (t *track) publishedBy(pub *lksdk.LocalTrackPublication) bool {
	if layers := pub.TrackLocalForSimulcast(); len(layers) > 0 {
		return slices.Contains(t.outputs, layers[0])
	}
	return pub.TrackLocal() == t.outputs[0]
}

func (t *track) change(clips []*clip) error {
	t.lock.Lock()
	defer t.lock.Unlock()
	if len(clips) != len(t.clips) || clips[0].mime != t.clips[0].mime {
		return fmt.Errorf("%s has %d layers of %s; another codec needs unpublish and publish", t.name, len(t.clips), t.clips[0].mime)
	}
	t.next = clips
	return nil
}
