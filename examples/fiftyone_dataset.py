"""A video and its tracks, masks and ids in FiftyOne: `python examples/fiftyone_dataset.py VIDEO PHRASE [MODEL]`."""

import sys

import fiftyone

from maskcast import track

video, phrase, *model = sys.argv[1:]
sample = fiftyone.Sample(filepath=video)
for result in track(video, phrase, model=model[0] if model else None):
    objects = fiftyone.Detections()
    for seen in result.tracks:
        (height, width), box = seen.mask.size, seen.mask.bbox
        shares = [box.x / width, box.y / height, box.width / width, box.height / height]
        objects.detections.append(
            fiftyone.Detection(
                label=seen.prompt, index=seen.id, confidence=seen.score, bounding_box=shares, mask=seen.mask.crop
            )
        )
    sample.frames[result.frame.index + 1] = fiftyone.Frame(objects=objects)
fiftyone.Dataset(video, persistent=True).add_sample(sample)
