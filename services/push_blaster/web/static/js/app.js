// What every page does: the viewer's own times, countdowns, live parts, dialogues, keys.
import { keepTimes } from "./times.js";
import { keepLive } from "./live.js";
import { openDialogs } from "./dialogs.js";
import { followLogs } from "./log.js";
import { listenToKeys } from "./keys.js";
import { tellOfWork } from "./busy.js";
import { dismissToasts } from "./toasts.js";
import { edit } from "./editor.js";
import { compose } from "./compose.js";

if (window.innerWidth < 832) document.querySelector(".menu")?.removeAttribute("open");
keepTimes();
keepLive();
openDialogs();
followLogs();
listenToKeys();
tellOfWork();
dismissToasts();
edit();
compose();
