"""The machine-readable picture: how a frame counter and a flash are drawn, and read back.

All measures are in units of one fortieth of the picture's width, so that a reader works at any size
of the same picture. The top row holds 24 blocks of one unit:

    white, black         what white and black look like here; the threshold lies half way
    16 bits              the counter, most significant bit first
    6 bits               a checksum over it

The flash is a rectangle that is white for the first FLASH_FRAMES frames of each second and black
otherwise.
"""

import numpy as np

FPS = 30
FLASH_FRAMES = 3
CLIP_SECONDS = 10
CLIP_FRAMES = FPS * CLIP_SECONDS

SAMPLE_RATE = 48000
BEEP_HZ = 1000
BEEP_SECONDS = 0.1

COUNTER_BITS = 16
CHECK_BITS = 6
BLOCKS = 2 + COUNTER_BITS + CHECK_BITS
UNITS = 40
FLASH_BOX = (26, 6, 38, 16)  # left, top, right, bottom

BLACK, WHITE = 16, 235  # of limited range luma


def checksum(counter):
    return (counter ^ (counter >> 6) ^ (counter >> 12) ^ 0x2A) & 0x3F


def draw_counter(luma, counter):
    """Draws the counter into a luma plane (height, width) of uint8, in place."""
    counter &= 0xFFFF
    bits = (0b10 << COUNTER_BITS | counter) << CHECK_BITS | checksum(counter)
    unit = luma.shape[1] / UNITS
    for i in range(BLOCKS):
        value = WHITE if bits >> (BLOCKS - 1 - i) & 1 else BLACK
        luma[: round(unit), round(i * unit) : round((i + 1) * unit)] = value


def draw_flash(luma, counter):
    unit = luma.shape[1] / UNITS
    left, top, right, bottom = (round(v * unit) for v in FLASH_BOX)
    luma[top:bottom, left:right] = WHITE if counter % FPS < FLASH_FRAMES else BLACK


def read_counter(luma):
    """The counter in a luma plane, or None where there is none that can be trusted."""
    unit = luma.shape[1] / UNITS
    rows = slice(round(unit * 0.25), max(round(unit * 0.75), round(unit * 0.25) + 1))
    values = []
    for i in range(BLOCKS):
        left = round((i + 0.25) * unit)
        right = max(round((i + 0.75) * unit), left + 1)
        values.append(float(luma[rows, left:right].mean()))
    white, black = values[:2]
    if white - black < 60:
        return None
    threshold = (white + black) / 2
    bits = 0
    for value in values[2:]:
        bits = bits << 1 | (value > threshold)
    counter = bits >> CHECK_BITS
    return counter if checksum(counter) == bits & 0x3F else None


def flash_level(luma):
    """How bright the flash rectangle is, 0 to 255; its rim is left out."""
    unit = luma.shape[1] / UNITS
    left, top, right, bottom = FLASH_BOX
    return float(
        luma[
            round((top + 1) * unit) : round((bottom - 1) * unit),
            round((left + 1) * unit) : round((right - 1) * unit),
        ].mean()
    )


class Painter:
    """Paints the pictures of a clip as planes of YUV 4:2:0."""

    def __init__(self, width, height, content="camera"):
        self.width, self.height, self.content = width, height, content
        y, x = np.mgrid[0:height, 0:width].astype(np.float32)
        self.ramp = x / width + y / height
        cy, cx = np.mgrid[0 : height // 2, 0 : width // 2].astype(np.float32)
        self.chroma = (cx / width * 2, cy / height * 2)
        noise = np.random.default_rng(1).integers(0, 2, (height // 8, width // 8))
        self.texture = np.kron(noise, np.ones((8, 8))).astype(np.float32)

    def planes(self, counter):
        phase = 2 * np.pi * (counter % CLIP_FRAMES) / CLIP_FRAMES
        if self.content == "screen":  # a page that scrolls: sharp edges, little motion
            luma = 210 - 150 * np.roll(self.texture, -counter % self.height, axis=0)
            u = v = np.full(self.chroma[0].shape, 128, np.uint8)
        else:  # a moving gradient with a textured square that circles over it
            luma = 120 + 60 * np.sin(2 * np.pi * self.ramp + 4 * phase)
            side = self.height // 4
            top = round(self.height * (0.55 + 0.18 * np.sin(3 * phase)))
            left = round(self.width * (0.3 + 0.2 * np.cos(2 * phase)))
            luma[top : top + side, left : left + side] = 60 + 120 * self.texture[:side, :side]
            u = 128 + 50 * np.sin(2 * np.pi * self.chroma[0] + phase)
            v = 128 + 50 * np.cos(2 * np.pi * self.chroma[1] + 2 * phase)
        luma = luma.astype(np.uint8)
        u, v = np.array(u, np.uint8), np.array(v, np.uint8)
        draw_counter(luma, counter)
        draw_flash(luma, counter)
        unit = self.width / UNITS / 2  # black and white only where something is read
        left, top, right, bottom = (round(b * unit) for b in FLASH_BOX)
        for plane in (u, v):
            plane[: round(unit), : round(BLOCKS * unit)] = 128
            plane[top:bottom, left:right] = 128
        return luma, u, v

    def frame(self, counter):
        return b"".join(plane.tobytes() for plane in self.planes(counter))


def beeps(first, count, amplitude=0.5):
    """Samples first .. first+count of the endless sound track: a beep at the start of each second."""
    position = np.arange(first, first + count) % SAMPLE_RATE
    tone = amplitude * np.sin(2 * np.pi * BEEP_HZ * position / SAMPLE_RATE)
    return np.where(position < BEEP_SECONDS * SAMPLE_RATE, tone, 0).astype(np.float32)
