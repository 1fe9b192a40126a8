"""The pages on which somebody dismisses what needs a person, and undoes that."""

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from chassis.bearer_auth import Role, asks_for, caller_name
from chassis.clock import utc_now
from chassis.postgres import Database
from push_blaster.adapters.executions.execution_view import select_execution
from push_blaster.use_cases.operations.dismiss_execution import dismiss_execution, take_up_again
from push_blaster.web.frame.frame import page_routes
from push_blaster.web.operations.attention import MAX_NOTE


def attention_pages(database: Database) -> Blueprint:
    """Return the pages about dismissals."""
    pages = page_routes("attention")

    @pages.get("/executions/<execution_id>/dismissal")
    @asks_for(Role.OPERATOR)
    def ask(execution_id: str) -> ResponseReturnValue:
        """Ask for a note."""
        with database.transaction() as connection:
            execution = select_execution(connection, execution_id)
        return render_template("dismissal.html", execution=execution, max_note=MAX_NOTE)

    @pages.post("/executions/<execution_id>/dismissal")
    @asks_for(Role.OPERATOR)
    def dismiss(execution_id: str) -> ResponseReturnValue:
        """Dismiss the execution."""
        note = request.form.get("note", "").strip()[:MAX_NOTE]
        dismiss_execution(database, execution_id, note, caller_name(), utc_now())
        flash("Dismissed. It comes back if it fails anew.", "success")
        return redirect(url_for("pages_dashboard.show"), 303)

    @pages.post("/executions/<execution_id>/dismissal/undo")
    @asks_for(Role.OPERATOR)
    def undo(execution_id: str) -> ResponseReturnValue:
        """Undo the dismissal."""
        take_up_again(database, execution_id)
        flash("It needs attention again.", "success")
        return redirect(url_for("pages_dashboard.show"), 303)

    return pages
