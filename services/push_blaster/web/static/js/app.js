// The script of every page: times, live parts, dialogs, logs, tables, keys, forms, copies.
import { runClocks } from "./times.js";
import { keepLive } from "./live.js";
import { openDialogs } from "./dialogs.js";
import { followLogs } from "./log.js";
import { listenToKeys } from "./keys.js";
import { keepFromDoubleClicks, showBusyForms } from "./busy.js";
import { makeSortable } from "./sorting.js";
import { dismissToasts } from "./toasts.js";
import { edit } from "./editor.js";
import { compose } from "./compose.js";
import { offerCopies } from "./copy.js";
import { keepDrafts } from "./drafts.js";

if (window.innerWidth < 832) document.querySelector(".menu")?.removeAttribute("open");
runClocks();
keepLive();
openDialogs();
followLogs();
makeSortable();
listenToKeys();
showBusyForms();
keepFromDoubleClicks();
dismissToasts();
edit();
compose();
offerCopies();
keepDrafts();
