// A photo from the camera.

import { byId } from "./dom.js";

/** Ties the camera's dialog to a function that takes the photo as a file. */
export function setUpCamera(take) {
  const [dialog, video, problem, button] =
    ["camera", "camera-video", "camera-problem", "camera-take"].map(byId);
  let stream = null;

  async function open() {
    problem.hidden = true;
    button.disabled = true;
    dialog.showModal();
    try {
      stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "user", width: { ideal: 1920 } } });
      video.srcObject = stream;
      await video.play();
      button.disabled = false;
      button.focus();
    } catch (error) {
      problem.textContent = error.name === "NotAllowedError"
        ? "The browser does not let this page use the camera. Allow it in the address bar, or choose a photo instead."
        : "No camera was found. Choose a photo instead.";
      problem.hidden = false;
    }
  }

  function stop() {
    for (const track of stream?.getTracks() ?? []) track.stop();
    stream = video.srcObject = null;
  }

  button.addEventListener("click", () => {
    const canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = [video.videoWidth, video.videoHeight];
    canvas.getContext("2d").drawImage(video, 0, 0);
    dialog.close();
    canvas.toBlob((blob) => take(new File([blob], "camera.jpg", { type: "image/jpeg" })), "image/jpeg", 0.95);
  });
  byId("camera-cancel").addEventListener("click", () => dialog.close());
  byId("camera-open").addEventListener("click", open);
  dialog.addEventListener("close", stop);
}
