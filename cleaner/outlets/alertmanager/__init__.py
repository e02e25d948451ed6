"""The outlet that sends alerts to Alertmanager.

Start at `conditions.py` (when an alert is active); `client.py` sends them. It must not keep a sweep waiting.
"""

from cleaner.outlets.alertmanager.client import Access, AlertmanagerApi
from cleaner.outlets.alertmanager.conditions import Alerts
from cleaner.outlets.alertmanager.outlet import Alertmanager, Delivery

__all__ = ["Access", "Alertmanager", "AlertmanagerApi", "Alerts", "Delivery"]
