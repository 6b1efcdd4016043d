"""A convolutional network in numpy: two convolutions with pooling and one dense layer, trained with Adam."""

import numpy as np

BATCH = 64
RATE = 0.004
# Adam's usual constants (Kingma and Ba, 2015).
MOMENTUM, VARIANCE, EPSILON = 0.9, 0.999, 1e-8


def windows(x: np.ndarray) -> np.ndarray:
    """[n,c,h,w] -> [n,h,w,c*9]: the 3 by 3 surroundings of every pixel, zeros beyond the border."""
    padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))
    view = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(2, 3))
    n, c, h, w = x.shape
    return view.transpose(0, 2, 3, 1, 4, 5).reshape(n, h, w, c * 9)


def unwindows(gradient: np.ndarray, channels: int) -> np.ndarray:
    """The gradient of `windows`: what each pixel gets from all windows that it is in."""
    n, h, w, _ = gradient.shape
    parts = gradient.reshape(n, h, w, channels, 3, 3)
    padded = np.zeros((n, channels, h + 2, w + 2))
    for i in range(3):
        for j in range(3):
            padded[:, :, i : i + h, j : j + w] += parts[..., i, j].transpose(0, 3, 1, 2)
    return padded[:, :, 1:-1, 1:-1]


def convolve(x: np.ndarray, w: np.ndarray, b: np.ndarray) -> np.ndarray:
    return (windows(x) @ w.reshape(len(w), -1).T + b).transpose(0, 3, 1, 2)


def pool(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The largest of each 2 by 2 pixels, and a mask of where it was (shared where several are as large)."""
    n, c, h, w = x.shape
    blocks = x.reshape(n, c, h // 2, 2, w // 2, 2)
    largest = blocks.max(axis=(3, 5), keepdims=True)
    mask = (blocks == largest).astype(np.float64)
    return largest[:, :, :, 0, :, 0], mask / mask.sum(axis=(3, 5), keepdims=True)


def unpool(gradient: np.ndarray, mask: np.ndarray) -> np.ndarray:
    n, c, h, w = gradient.shape
    return (mask * gradient[:, :, :, None, :, None]).reshape(n, c, h * 2, w * 2)


class Network:
    """Images [n,1,8,8] of 0 to 1 to the scores of ten digits."""

    def __init__(self, random: np.random.Generator) -> None:
        self.random = random
        shapes = {"w1": (16, 1, 3, 3), "w2": (32, 16, 3, 3), "w3": (128, 10)}
        inputs = {"w1": 9, "w2": 144, "w3": 128}
        self.parameters = {name: random.normal(0, np.sqrt(2 / inputs[name]), shape) for name, shape in shapes.items()}
        self.parameters |= {"b1": np.zeros(16), "b2": np.zeros(32), "b3": np.zeros(10)}

    def train(self, images: np.ndarray, digits: np.ndarray, epochs: int) -> None:
        """Several passes over the images in a random order, the steps growing smaller to nothing."""
        images = images.astype(np.float64)
        mean = {name: np.zeros_like(value) for name, value in self.parameters.items()}
        square = {name: np.zeros_like(value) for name, value in self.parameters.items()}
        starts = range(0, len(images) - BATCH + 1, BATCH)
        steps = epochs * len(starts)
        step = 0
        for _ in range(epochs):
            order = self.random.permutation(len(images))
            for start in starts:
                step += 1
                chosen = order[start : start + BATCH]
                rate = RATE * (1 - (step - 1) / steps)
                for name, gradient in self.gradients(self.shifted(images[chosen]), digits[chosen]).items():
                    mean[name] += (1 - MOMENTUM) * (gradient - mean[name])
                    square[name] += (1 - VARIANCE) * (gradient**2 - square[name])
                    m, v = mean[name] / (1 - MOMENTUM**step), square[name] / (1 - VARIANCE**step)
                    self.parameters[name] -= rate * m / (np.sqrt(v) + EPSILON)

    def shifted(self, images: np.ndarray) -> np.ndarray:
        """Each image moved by at most one pixel: a digit is the same a little to the left."""
        padded = np.pad(images, ((0, 0), (0, 0), (1, 1), (1, 1)))
        corners = self.random.integers(0, 3, (len(images), 2))
        return np.stack([image[:, i : i + 8, j : j + 8] for image, (i, j) in zip(padded, corners, strict=True)])

    def gradients(self, images: np.ndarray, digits: np.ndarray) -> dict[str, np.ndarray]:
        """Of the mean cross-entropy over these images, for each parameter."""
        p = self.parameters
        c1 = convolve(images, p["w1"], p["b1"])
        p1, mask1 = pool(np.maximum(c1, 0))
        c2 = convolve(p1, p["w2"], p["b2"])
        p2, mask2 = pool(np.maximum(c2, 0))
        features = p2.reshape(len(images), -1)
        scores = features @ p["w3"] + p["b3"]
        odds = np.exp(scores - scores.max(axis=1, keepdims=True))
        d3 = odds / odds.sum(axis=1, keepdims=True)
        d3[np.arange(len(digits)), digits] -= 1
        d3 /= len(digits)
        d2 = (unpool((d3 @ p["w3"].T).reshape(p2.shape), mask2) * (c2 > 0)).transpose(0, 2, 3, 1)
        back = unwindows(d2 @ p["w2"].reshape(32, -1), 16)
        d1 = (unpool(back, mask1) * (c1 > 0)).transpose(0, 2, 3, 1)
        return {
            "w3": features.T @ d3,
            "b3": d3.sum(axis=0),
            "w2": np.tensordot(d2, windows(p1), ([0, 1, 2], [0, 1, 2])).reshape(p["w2"].shape),
            "b2": d2.sum(axis=(0, 1, 2)),
            "w1": np.tensordot(d1, windows(images), ([0, 1, 2], [0, 1, 2])).reshape(p["w1"].shape),
            "b1": d1.sum(axis=(0, 1, 2)),
        }
