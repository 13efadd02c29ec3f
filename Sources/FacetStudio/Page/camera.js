// A photo from the camera.

import { byId } from "./dom.js";
import { t } from "./texts.js";

const [dialog, video, problem, button] = ["camera", "camera-video", "camera-problem", "camera-take"].map(byId);
let stream = null;
let take;

/** Opens the camera's dialog; `taken` gets the photo as a file. */
export async function openCamera(taken) {
  take = taken;
  problem.hidden = true;
  button.disabled = true;
  dialog.showModal();
  try {
    if (!navigator.mediaDevices) throw new DOMException("", "InsecureError");
    stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "user", width: { ideal: 1920 } } });
    video.srcObject = stream;
    await video.play();
    button.disabled = false;
    button.focus();
  } catch (error) {
    const keys = { InsecureError: "cameraNeedsHttps", NotAllowedError: "cameraRefused" };
    problem.textContent = t(keys[error.name] ?? "cameraMissing");
    problem.hidden = false;
  }
}

button.addEventListener("click", () => {
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [video.videoWidth, video.videoHeight];
  canvas.getContext("2d").drawImage(video, 0, 0);
  dialog.close();
  canvas.toBlob((blob) => take([new File([blob], "camera.jpg", { type: "image/jpeg" })]), "image/jpeg", 0.95);
});
byId("camera-cancel").addEventListener("click", () => dialog.close());
dialog.addEventListener("close", () => {
  for (const track of stream?.getTracks() ?? []) track.stop();
  stream = video.srcObject = null;
});
