package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/pion/webrtc/v4"
	"github.com/pion/webrtc/v4/pkg/media/h264reader"
	"github.com/pion/webrtc/v4/pkg/media/ivfreader"
)

// A sample is one picture or one Opus packet.
type sample struct {
	data []byte
	key  bool // a decoder can start here
}

// A clip is a whole file in memory, to be looped.
type clip struct {
	name          string
	mime          string
	width, height int
	samples       []sample
	duration      time.Duration // of one sample, rounded; see step for the exact one
	step          uint32        // of one sample, in RTP time
	clockRate     uint32
}

func (c *clip) audio() bool { return c.mime == webrtc.MimeTypeOpus }

// at is the time of sample n since the start of the clock; exact, so that loops do not drift.
func (c *clip) at(n int64) time.Duration {
	return time.Duration(n * int64(c.step) * int64(time.Second) / int64(c.clockRate))
}

// sample n of the endless repetition of the clip.
func (c *clip) sample(n int64) sample { return c.samples[n%int64(len(c.samples))] }

const videoClock, audioClock, fps = 90000, 48000, 30

// findClip takes a path, or the name of a clip in dir with or without its suffix.
func findClip(dir, name string) (string, error) {
	for _, path := range []string{name, filepath.Join(dir, name)} {
		for _, suffix := range []string{"", ".ivf", ".h264", ".ogg"} {
			if info, err := os.Stat(path + suffix); err == nil && info.Mode().IsRegular() {
				return path + suffix, nil
			}
		}
	}
	return "", fmt.Errorf("no clip %q in %s; make_clips.py makes it", name, dir)
}

func loadClip(dir, name string) (*clip, error) {
	path, err := findClip(dir, name)
	if err != nil {
		return nil, err
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()

	c := &clip{name: name, clockRate: videoClock, step: videoClock / fps}
	switch filepath.Ext(path) {
	case ".ivf":
		err = c.readIVF(file)
	case ".h264":
		err = c.readH264(file)
	case ".ogg":
		c.clockRate, c.step = audioClock, audioClock/50
		err = c.readOgg(file)
	default:
		err = errors.New("not .ivf, .h264 or .ogg")
	}
	if err == nil && (len(c.samples) == 0 || !c.samples[0].key) {
		err = errors.New("does not begin with a key frame")
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	c.duration = c.at(1)
	return c, nil
}

func (c *clip) readIVF(file io.Reader) error {
	reader, header, err := ivfreader.NewWith(file)
	if err != nil {
		return err
	}
	var key func([]byte) bool
	switch header.FourCC {
	case "VP80":
		c.mime, key = webrtc.MimeTypeVP8, func(b []byte) bool { return b[0]&1 == 0 }
	case "VP90":
		c.mime, key = webrtc.MimeTypeVP9, vp9Key
	case "AV01":
		c.mime, key = webrtc.MimeTypeAV1, av1Key
	default:
		return fmt.Errorf("unknown codec %q", header.FourCC)
	}
	c.width, c.height = int(header.Width), int(header.Height)
	for {
		data, _, err := reader.ParseNextFrame()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if len(data) == 0 {
			return errors.New("an empty frame")
		}
		c.samples = append(c.samples, sample{data, key(data)})
	}
}

// vp9Key reads frame_marker (2 bits), profile (2), show_existing_frame, frame_type; profile 3 has one bit more.
func vp9Key(data []byte) bool {
	return data[0]&0x30 != 0x30 && data[0]&0x08 == 0 && data[0]&0x04 == 0
}

// av1Key looks for a sequence header, which comes with each key frame and nowhere else.
func av1Key(data []byte) bool {
	for len(data) > 1 {
		kind, head := data[0]>>3&0xf, 1
		if data[0]&0x04 != 0 {
			head = 2
		}
		if kind == 1 {
			return true
		}
		if data[0]&0x02 == 0 || len(data) <= head {
			return false
		}
		size, n := binary.Uvarint(data[head:]) // LEB128
		if n <= 0 || uint64(head+n)+size > uint64(len(data)) {
			return false
		}
		data = data[uint64(head+n)+size:]
	}
	return false
}

// readH264 makes one sample of each slice and the parameter sets before it: the clips have one slice a picture.
func (c *clip) readH264(file io.Reader) error {
	c.mime = webrtc.MimeTypeH264
	reader, err := h264reader.NewReader(file)
	if err != nil {
		return err
	}
	var picture []byte
	for {
		nal, err := reader.NextNAL()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		picture = append(append(picture, 0, 0, 0, 1), nal.Data...)
		switch nal.UnitType {
		case h264reader.NalUnitTypeSPS:
			c.width, c.height = spsSize(nal.Data)
		case h264reader.NalUnitTypeCodedSliceNonIdr, h264reader.NalUnitTypeCodedSliceIdr:
			c.samples = append(c.samples, sample{picture, nal.UnitType == h264reader.NalUnitTypeCodedSliceIdr})
			picture = nil
		}
	}
}

// spsSize reads the picture size out of the sequence parameter set of a baseline stream of whole frames.
func spsSize(nal []byte) (width, height int) {
	bit := 4 * 8 // NAL header, profile, constraints, level
	read := func(n int) (value int) {
		for ; n > 0; n-- {
			value <<= 1
			if bit/8 < len(nal) {
				value |= int(nal[bit/8]>>(7-bit%8)) & 1
			}
			bit++
		}
		return value
	}
	golomb := func() int {
		zeros := 0
		for read(1) == 0 && zeros < 31 {
			zeros++
		}
		return 1<<zeros - 1 + read(zeros)
	}
	golomb()                           // seq_parameter_set_id
	golomb()                           // log2_max_frame_num_minus4
	if order := golomb(); order == 0 { // pic_order_cnt_type
		golomb()
	}
	golomb() // max_num_ref_frames
	read(1)  // gaps_in_frame_num_value_allowed_flag
	width, height = 16*(golomb()+1), 16*(golomb()+1)
	read(2)           // frame_mbs_only_flag, direct_8x8_inference_flag
	if read(1) == 1 { // frame_cropping_flag; in units of two luma samples
		width -= 2 * (golomb() + golomb())
		height -= 2 * (golomb() + golomb())
	}
	return width, height
}

// readOgg takes the packets of the pages, of which the first two are headers.
func (c *clip) readOgg(file io.Reader) error {
	c.mime = webrtc.MimeTypeOpus
	var packet []byte
	headers := 2
	for {
		page := make([]byte, 27)
		if _, err := io.ReadFull(file, page); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		if string(page[:4]) != "OggS" {
			return errors.New("not an Ogg page")
		}
		lacing := make([]byte, page[26])
		if _, err := io.ReadFull(file, lacing); err != nil {
			return err
		}
		for _, size := range lacing {
			segment := make([]byte, size)
			if _, err := io.ReadFull(file, segment); err != nil {
				return err
			}
			packet = append(packet, segment...)
			if size == 255 { // the packet goes on
				continue
			}
			if headers > 0 {
				headers--
			} else {
				c.samples = append(c.samples, sample{packet, true})
			}
			packet = nil
		}
	}
}
