"""How the services say it: it knows nothing of projects or clouds."""
