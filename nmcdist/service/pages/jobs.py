"""The page of jobs: a recipe, its plan, and the progress of what runs. It needs its script, and a token."""

from nmcdist.service.pages import frame

_TITLE = "Jobs"
_BODY = """\
<main>
<h1>Jobs</h1>
<p>A job makes a dataset from a recipe, on the machines of this service. It appears in the list of datasets when it is
done.</p>
<noscript><p class="problem">This page needs scripts. Programs use <a href="/openapi.json">/api/jobs</a>.</p></noscript>
<form id="sign-in"><div class="tools"><label for="token">Token</label>
<input type="password" id="token" autocomplete="off" spellcheck="false" maxlength="200">
<button class="main">Use</button><button type="button" id="forget" hidden>Forget it</button></div>
<p class="note">Whoever runs the service makes tokens, with <code>nmcdist token</code>. This page keeps yours until you
close its tab.</p></form>
<p id="status" role="status" class="problem"></p>
<div id="desk" hidden>
<h2>New job</h2>
<form id="new">
<div class="form">
<label>Start from<select id="template"></select></label>
<label>Name<input type="text" id="recipe-name" autocomplete="off" spellcheck="false"></label>
<label>Bundle<select id="recipe-bundle"></select></label>
<label>Seed<input type="number" id="recipe-seed" min="0" step="1"></label>
<label>Items<input type="number" id="recipe-count" min="1" step="1" aria-describedby="count-note"></label>
</div>
<p class="note" id="count-note">Items: particles, or volumes of each value of a sweep.</p>
<p><label for="recipe">Recipe (YAML); this text is what is sent</label></p>
<textarea id="recipe" rows="16" spellcheck="false" autocomplete="off"></textarea>
<p class="tools"><button type="button" id="plan">Plan</button><button class="main">Submit</button></p>
<div id="answer" role="status" aria-live="polite"></div>
</form>
<h2>Jobs of this service</h2>
<p id="progress" role="status" aria-live="polite" class="note"></p>
<ul class="jobs" id="jobs"></ul>
<p><button type="button" id="more" hidden>More jobs</button></p>
</div>
</main>"""


def jobs_page() -> str:
    """Return the page."""
    return frame.page(_TITLE, f"{frame.path(('/', 'All datasets'))}\n{_BODY}", "jobs")
